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
)

// has reports whether the rig has a power.
func (p Power) has(r Rig) bool {
	var ok bool
	switch p {
	case PowerLinks:
		_, ok = r.(Linker)
	case PowerCrash:
		_, ok = r.(Crasher)
	case PowerEvict:
		_, ok = r.(Evictor)
	case PowerObserve:
		_, ok = r.(Observer)
	case PowerSpawn:
		_, ok = r.(Spawner)
	case PowerShare:
		_, ok = r.(Shared)
	case PowerSuspend:
		_, ok = r.(Suspender)
	case PowerPlant:
		_, ok = r.(Planter)
	}
	return ok
}
