package proxy

// What happens to connections: they end, die without a sign, or are not read.

// Reset resets every connection at both ends, and returns how many there were.
// New ones are forwarded.
func (p *Proxy) Reset() (n int) {
	for _, l := range p.all() {
		if l.serverOpen() {
			n++
		}
		l.reset()
	}
	return n
}

// HalfOpen has every connection that is open now go dead without a sign, as a
// firewall does that forgets its connections: both ends keep theirs open, and
// what either sends, its end included, is swallowed until Heal resets them. New
// connections are forwarded. When HalfOpen has returned, nothing arrives any
// more. It returns how many connections there were.
func (p *Proxy) HalfOpen() (n int) {
	p.faults.Lock()
	defer p.faults.Unlock()
	for _, l := range p.all() {
		pumps := l.pumps(Both)
		for _, pump := range pumps {
			pump.tear()
		}
		if len(pumps) > 0 {
			n++
		}
	}
	return n
}

// Stall has the client read nothing, as a process does that is stopped or busy:
// what the server sends fills the buffers between them, and then those of the
// server. What the client sends still gets through. Unstall and Heal end it, and
// what was held back arrives then, in order.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Unstall has the client read on.
func (p *Proxy) Unstall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readOn()
}

// readOn ends a stall. p.mu is held.
func (p *Proxy) readOn() {
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// stall returns what to wait for before more is read for the client, or nil.
func (p *Proxy) stall(d Direction) <-chan struct{} {
	if d != Down {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stalled
}

func (p *Proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshot()
}

// tear swallows everything from now on.
func (p *pump) tear() {
	p.interrupt()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.torn = true
}

// await waits while the client does not read. It reports whether it did wait,
// and whether the link lives.
func (p *pump) await() (waited, alive bool) {
	for {
		stalled := p.l.p.stall(p.dir)
		if stalled == nil {
			return waited, true
		}
		waited = true
		select {
		case <-stalled:
		case <-p.l.dead:
			return waited, false
		}
	}
}
