// Package images gets the container images of the servers: the public ones
// where they can be had, else images that it builds from what is on this
// machine. It also builds the etcd binary, from the sources that the module
// pins.
package images

// The servers that everything is tested with. This is the one place that names
// their versions; that of etcd must be the one in go.mod, and a test sees to
// it.
const (
	EtcdVersion  = "3.7.3"
	RedisVersion = "7.4"
)

// The public images, in the order in which they are tried.
var (
	EtcdPublic  = []string{"quay.io/coreos/etcd:v" + EtcdVersion, "gcr.io/etcd-development/etcd:v" + EtcdVersion}
	RedisPublic = []string{"redis:" + RedisVersion + "-alpine"}
)
