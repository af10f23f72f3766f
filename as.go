package locker

// As finds an optional power of a Locker or a Lock: v itself if it is a T, else
// the first one that is in the chain of Unwrap() Locker or Unwrap() Lock. A
// wrapper that adds metrics, say, keeps the powers of what it wraps by having
// such an Unwrap.
func As[T any](v any) (T, bool) {
	for v != nil {
		if t, ok := v.(T); ok {
			return t, true
		}
		switch w := v.(type) {
		case interface{ Unwrap() Locker }:
			v = w.Unwrap()
		case interface{ Unwrap() Lock }:
			v = w.Unwrap()
		default:
			v = nil
		}
	}
	var none T
	return none, false
}
