package redislock

import (
	"context"
	"crypto/sha1" // #nosec G505 -- the name that Redis gives to a script, no secret
	_ "embed"
	"encoding/hex"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The scripts. Each does one step of the protocol whole: nothing else runs on
// the server meanwhile.
var (
	//go:embed queue.lua
	queueSource string
	//go:embed claim.lua
	claimSource string
	//go:embed renew.lua
	renewSource string
	//go:embed release.lua
	releaseSource string
	//go:embed break.lua
	breakSource string
	//go:embed inspect.lua
	inspectSource string
	//go:embed check.lua
	checkSource string

	claimScript   = newScript(claimSource)
	renewScript   = newScript(renewSource)
	releaseScript = newScript(releaseSource)
	breakScript   = newScript(breakSource)
	inspectScript = newScript(inspectSource)
	checkScript   = newScript(checkSource)
)

type script struct{ source, sha string }

// newScript puts the shared part in. A script that can answer without it does so
// before: defining its functions costs more than a command.
func newScript(source string) *script {
	source = strings.Replace(source, "-- include queue.lua\n", queueSource, 1)
	sum := sha1.Sum([]byte(source)) // #nosec G401
	return &script{source: source, sha: hex.EncodeToString(sum[:])}
}

// A call is one run of a script, or a plain command.
type call struct {
	*redis.Cmd

	script *script // nil for a plain command
	keys   []string
	args   []any
}

func command(args ...any) *call {
	return &call{Cmd: redis.NewCmd(context.Background(), args...)}
}

func (s *script) call(keys []string, args ...any) *call {
	c := &call{script: s, keys: keys, args: args}
	c.prepare("evalsha", s.sha)
	return c
}

// bySource turns c into a call that brings the script along, for a server that
// does not know it: it was just started, or somebody flushed its scripts.
func (c *call) bySource() { c.prepare("eval", c.script.source) }

func (c *call) prepare(command, script string) {
	all := make([]any, 0, 3+len(c.keys)+len(c.args))
	all = append(all, command, script, len(c.keys))
	for _, k := range c.keys {
		all = append(all, k)
	}
	c.Cmd = redis.NewCmd(context.Background(), append(all, c.args...)...)
}

// NoRetry keeps go-redis, also a client that the caller made, from sending the
// call again by itself. The scripts are idempotent by claim ID, so a repetition
// would do no harm on the server; but Release must know of every attempt: if
// the answer of the first was lost, a hidden second one would find the claim
// gone, and a clean release would be reported as a loss. The engine retries in
// the open.
func (c *call) NoRetry() bool { return true }

func (c *call) unknownScript() bool {
	return c.script != nil && redis.HasErrorPrefix(c.Err(), "NOSCRIPT")
}
