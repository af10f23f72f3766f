package redislock

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/lockerlib/locker"
	"github.com/lockerlib/locker/driver"
	"github.com/redis/go-redis/v9"
)

// clientParams are those of redis.ParseURL.
var clientParams = []string{
	"db", "protocol", "client_name", "max_retries", "min_retry_backoff", "max_retry_backoff",
	"dial_timeout", "read_timeout", "write_timeout", "pool_fifo", "pool_size", "pool_timeout",
	"min_idle_conns", "max_idle_conns", "max_active_conns", "max_concurrent_dials",
	"pipeline_pool_size", "pipeline_read_buffer_size", "pipeline_write_buffer_size",
	"conn_max_idle_time", "idle_timeout", "conn_max_lifetime", "max_conn_age", "conn_max_lifetime_jitter",
}

var (
	ownParams = []string{"prefix", "ttl"}
	tlsParams = []string{"ca", "cert", "key", "server_name", "insecure_skip_verify", "skip_verify"}
)

// parseURL makes the options of a client and of a Locker from a URL.
func parseURL(raw string) (*redis.Options, []locker.OpenOption, error) {
	a, err := driver.ParseAddress(raw)
	if err != nil {
		return nil, nil, err
	}
	secure := a.Scheme == "rediss"
	known := slices.Concat(ownParams, clientParams)
	if secure {
		known = slices.Concat(ownParams, tlsParams, clientParams)
	}
	params, err := a.Params(known...)
	if err != nil {
		return nil, nil, err
	}
	if len(a.Hosts) > 1 {
		return nil, nil, fmt.Errorf("%w: the URL names %d hosts; cluster and sentinel are not offered yet, give the one primary", locker.ErrInvalid, len(a.Hosts))
	}

	var opts []locker.OpenOption
	if prefix, ok := params["prefix"]; ok {
		if err := checkPrefix(prefix); err != nil {
			return nil, nil, err
		}
		opts = append(opts, WithPrefix(prefix))
	}
	if text, ok := params["ttl"]; ok {
		ttl, err := time.ParseDuration(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: ttl=%q is not a duration such as 15s", locker.ErrInvalid, text)
		}
		opts = append(opts, locker.WithDefaults(locker.WithTTL(ttl)))
	}

	o, err := clientOptions(a, params)
	if err != nil {
		return nil, nil, err
	}
	if secure {
		if o.TLSConfig, err = tlsConfig(a.Hosts[0].Name, params); err != nil {
			return nil, nil, err
		}
	}
	return o, opts, nil
}

// clientOptions leaves the reading of the parameters to go-redis, and gives it
// a URL that is free of secrets, so that its errors are too. User and password
// are set afterwards: net/url would not take all of them.
func clientOptions(a *driver.Address, params map[string]string) (*redis.Options, error) {
	if n, err := strconv.Atoi(a.Path); a.Path != "" && (err != nil || n < 0) {
		return nil, fmt.Errorf("%w: the path of the URL must be the number of a database; a prefix goes into the parameter prefix", locker.ErrInvalid)
	}
	query := make(url.Values)
	for name, value := range params {
		if slices.Contains(clientParams, name) {
			query.Set(name, value)
		}
	}
	clean := url.URL{Scheme: "redis", Host: a.HostPorts("6379")[0], Path: "/" + a.Path, RawQuery: query.Encode()}
	o, err := redis.ParseURL(clean.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", locker.ErrInvalid, err)
	}
	o.Addr = a.HostPorts("6379")[0] // net/url would change the zone of an IPv6 address
	o.Username, o.Password = a.User, a.Password
	if _, ok := params["protocol"]; !ok {
		o.Protocol = 2 // spares a look for out-of-band messages before every command
	}
	return o, nil
}
