"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  // A cell opens its evidence in a row below its own. The node is moved, not
  // copied, so that every ID stays unique.
  const homes = new Map();
  const close = (link) => {
    const evidence = homes.get(link);
    if (!evidence) return;
    const row = evidence.node.closest("tr.opened");
    evidence.node.open = false;
    evidence.mark.replaceWith(evidence.node);
    homes.delete(link);
    link.setAttribute("aria-expanded", "false");
    row.remove();
  };
  const open = (link) => {
    const row = link.closest("tr.check");
    $$("a[aria-expanded=true]", row).forEach(close);
    const body = document.getElementById(link.getAttribute("href").slice(1));
    const node = body.closest("details");
    const mark = document.createComment("");
    node.replaceWith(mark);
    homes.set(link, { node, mark });
    const holder = document.createElement("tr");
    holder.className = "opened";
    holder.setAttribute("role", "row");
    const cell = holder.insertCell();
    cell.setAttribute("role", "cell");
    cell.colSpan = row.cells.length;
    cell.append(node);
    row.after(holder);
    node.open = true;
    link.setAttribute("aria-expanded", "true");
    body.focus({ preventScroll: true });
    holder.scrollIntoView({ block: "nearest" });
  };
  const links = $$(".matrix td a");
  links.forEach((link) => {
    link.setAttribute("role", "button");
    link.setAttribute("aria-expanded", "false");
    link.addEventListener("click", (event) => {
      event.preventDefault();
      if (homes.has(link)) close(link);
      else {
        open(link);
        history.replaceState(null, "", link.getAttribute("href"));
      }
    });
    link.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      link.click();
    });
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.open || !event.target.matches?.("tr.opened .ev")) return;
    const link = links.find((l) => homes.get(l)?.node === event.target);
    if (link) { close(link); link.focus(); }
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const row = event.target.closest?.("tr.opened, tr.check");
    const check = row?.classList.contains("opened") ? row.previousElementSibling : row;
    const link = check && $("a[aria-expanded=true]", check);
    if (link) { close(link); link.focus(); }
  });

  const form = $(".filters");
  const rows = $$("tr.check");
  const apply = () => {
    const verdicts = $$("input[name=verdict]:checked", form).map((box) => box.value);
    const group = form.elements.group.value;
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const has = row.dataset.verdicts.split(" ");
      const match = (verdicts.length === 0 || verdicts.some((v) => has.includes(v))) &&
        (group === "" || row.parentElement.dataset.group === group) &&
        words.every((word) => row.dataset.text.includes(word));
      if (!match) $$("a[aria-expanded=true]", row).forEach(close);
      row.hidden = !match;
      if (match) shown++;
    }
    for (const body of $$("tbody[data-group]")) body.hidden = !$("tr.check:not([hidden])", body);
    $(".nothing").hidden = shown > 0;
    $(".found").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} guarantees`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  $(".again").addEventListener("click", () => { form.reset(); });

  for (const command of $$(".cmd")) {
    if (!navigator.clipboard) break;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText($("code", command).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    command.append(button);
  }

  const follow = () => {
    const link = links.find((l) => l.getAttribute("href") === location.hash);
    if (link && !homes.has(link)) open(link);
  };
  addEventListener("hashchange", follow);
  follow();
})();
