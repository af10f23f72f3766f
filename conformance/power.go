package conformance

// A Power is something that a rig may be able to do beyond opening clients.
type Power string

// The powers of a rig, each by the name of its interface.
const (
	PowerLinks   Power = "Linker"
	PowerCrash   Power = "Crasher"
	PowerEvict   Power = "Evictor"
	PowerObserve Power = "Observer"
	PowerSpawn   Power = "Spawner"
	PowerShare   Power = "Shared"
	PowerSuspend Power = "Suspender"
	PowerPlant   Power = "Planter"
	PowerPrefix  Power = "Prefixer"
	PowerLosses  Power = "LossCounter"
	PowerStock   Power = "Stocktaker"
	PowerWall    Power = "WallStepper"

	PowerReset    Power = "Resetter"
	PowerHalfOpen Power = "HalfOpener"
	PowerStall    Power = "Staller"

	PowerPause        Power = "Pauser"
	PowerNetwork      Power = "Disconnecter"
	PowerRestart      Power = "Restarter"
	PowerForget       Power = "Forgetter"
	PowerCluster      Power = "Cluster"
	PowerFailover     Power = "Failover"
	PowerCrowd        Power = "Crowder"
	PowerFlush        Power = "Flusher"
	PowerFlushScripts Power = "ScriptFlusher"
	PowerKillClients  Power = "ClientKiller"
	PowerCompact      Power = "Compacter"
	PowerFill         Power = "Filler"
	PowerStep         Power = "Stepper"
)

// offers tells of each power whether a rig has it.
var offers = map[Power]func(Rig) bool{
	PowerLinks:        is[Linker],
	PowerCrash:        is[Crasher],
	PowerEvict:        is[Evictor],
	PowerObserve:      is[Observer],
	PowerSpawn:        is[Spawner],
	PowerShare:        is[Shared],
	PowerSuspend:      is[Suspender],
	PowerPlant:        is[Planter],
	PowerPrefix:       is[Prefixer],
	PowerLosses:       is[LossCounter],
	PowerStock:        is[Stocktaker],
	PowerWall:         is[WallStepper],
	PowerReset:        is[Resetter],
	PowerHalfOpen:     is[HalfOpener],
	PowerStall:        is[Staller],
	PowerPause:        is[Pauser],
	PowerNetwork:      is[Disconnecter],
	PowerRestart:      is[Restarter],
	PowerForget:       is[Forgetter],
	PowerCluster:      is[Cluster],
	PowerFailover:     is[Failover],
	PowerCrowd:        is[Crowder],
	PowerFlush:        is[Flusher],
	PowerFlushScripts: is[ScriptFlusher],
	PowerKillClients:  is[ClientKiller],
	PowerCompact:      is[Compacter],
	PowerFill:         is[Filler],
	PowerStep:         is[Stepper],
}

func is[T any](r Rig) bool {
	_, ok := r.(T)
	return ok
}

// has reports whether the rig has a power.
func (p Power) has(r Rig) bool {
	offered := offers[p]
	return offered != nil && offered(r)
}
