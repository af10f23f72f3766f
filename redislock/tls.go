package redislock

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"

	"github.com/lockerlib/locker"
)

// tlsConfig makes the TLS settings of a rediss URL.
func tlsConfig(host string, params map[string]string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if name := params["server_name"]; name != "" {
		c.ServerName = name
	}
	for _, name := range []string{"insecure_skip_verify", "skip_verify"} { // the second is that of go-redis
		text, ok := params[name]
		if !ok {
			continue
		}
		skip, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %s must be true or false", locker.ErrInvalid, name)
		}
		c.InsecureSkipVerify = c.InsecureSkipVerify || skip
	}
	if file := params["ca"]; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%w: parameter ca: %w", locker.ErrInvalid, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: parameter ca: %s holds no PEM certificate", locker.ErrInvalid, file)
		}
	}
	cert, key := params["cert"], params["key"]
	switch {
	case cert != "" && key != "":
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%w: parameters cert and key: %w", locker.ErrInvalid, err)
		}
		c.Certificates = []tls.Certificate{pair}
	case cert != "" || key != "":
		return nil, fmt.Errorf("%w: parameters cert and key belong together", locker.ErrInvalid)
	}
	return c, nil
}
