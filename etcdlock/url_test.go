package etcdlock

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lockerlib/locker"
)

func TestParseURL(t *testing.T) {
	got, err := parseURL("etcd://root:p@ss/w?rd#1@h1:1,[::1],h3/a/b?mode=session&ttl=20s&dial_timeout=2s")
	if err != nil {
		t.Fatal(err)
	}
	want := &address{
		endpoints: []string{"h1:1", "[::1]:2379", "h3:2379"}, prefix: "a/b", mode: Session, hasMode: true,
		ttl: 20 * time.Second, dialTimeout: 2 * time.Second, username: "root", password: "p@ss/w?rd#1",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, err = parseURL("etcd://h?username=u&password=a%26b+c"); err != nil || got.username != "u" || got.password != "a&b+c" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got.tls != nil || got.mode != Lease || got.dialTimeout != defaultDialTimeout {
		t.Errorf("defaults: %+v", got)
	}
}

func TestParseURLTLS(t *testing.T) {
	cert, key := certificate(t)
	got, err := parseURL("etcds://h")
	if err != nil || got.tls == nil || got.tls.InsecureSkipVerify || got.tls.RootCAs != nil {
		t.Errorf("etcds: %+v, %v", got, err)
	}
	got, err = parseURL("etcd://h?ca=" + cert + "&cert=" + cert + "&key=" + key + "&server_name=x&insecure_skip_verify=true")
	if err != nil {
		t.Fatal(err)
	}
	if c := got.tls; c == nil || c.RootCAs == nil || len(c.Certificates) != 1 || c.ServerName != "x" || !c.InsecureSkipVerify {
		t.Errorf("got %+v", got.tls)
	}
}

func TestParseURLInvalid(t *testing.T) {
	cert, key := certificate(t)
	for raw, want := range map[string]string{
		"etcd://h?colour=secret":                 "known: mode, ttl",
		"etcd://h?mode=secretx":                  "lease, session",
		"etcd://h?mode=lease&mode=lease":         "twice",
		"etcd://h?ttl=15":                        "duration",
		"etcd://h?ttl=-1s":                       "greater than 0",
		"etcd://h?ttl=25h":                       "at most",
		"etcd://h?dial_timeout=x":                "duration",
		"etcd://u:secret@h?password=secret":      "one of them",
		"etcd://u@h":                             "needs both",
		"etcd://:secret@h":                       "needs both",
		"etcd://h?username=u":                    "needs both",
		"etcd://h/a//b":                          "empty part",
		"etcd://h/a/":                            "ends with",
		"etcd://h/%00":                           "control",
		"etcd://h/%ff":                           "UTF-8",
		"etcd://h/" + strings.Repeat("x", 513):   "512",
		"etcd://h?server_name=x":                 "etcds",
		"etcd://h?insecure_skip_verify=true":     "etcds",
		"etcds://h?insecure_skip_verify=secret":  "true or false",
		"etcd://h?ca=/does/not/exist":            "ca",
		"etcd://h?ca=" + key:                     "no PEM certificate",
		"etcd://h?cert=" + cert:                  "go together",
		"etcd://h?cert=" + cert + "&key=" + cert: "key",
		"etcd://h/p?mode=lease#secret":           "fragment",
		"etcd://":                                "no host",
	} {
		_, err := parseURL(raw)
		if !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", raw, err)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q does not say %q", raw, err, want)
		}
		if strings.Contains(strings.ReplaceAll(err.Error(), "secretx", ""), "secret") {
			t.Errorf("%s: the error tells the secret: %v", raw, err)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for _, bad := range []string{"a//b", "a/", "/", "//", "a\nb", "\xff", strings.Repeat("x", 513)} {
		if _, err := newKeyspace(bad); !errors.Is(err, locker.ErrInvalid) {
			t.Errorf("prefix %q: %v", bad, err)
		}
	}
	for _, good := range []string{"a", "/a", "a/b", "ü", "a b", "{a}"} {
		if _, err := newKeyspace(good); err != nil {
			t.Errorf("prefix %q: %v", good, err)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a/b", "a%2Fb")
	f.Add("\x00", "%00")
	f.Fuzz(func(t *testing.T, a, b string) {
		ea, eb := escape(a), escape(b)
		if (ea == eb) != (a == b) {
			t.Fatalf("escape(%q) = %q, escape(%q) = %q", a, ea, b, eb)
		}
		if strings.HasPrefix(ea, eb) != strings.HasPrefix(a, b) {
			t.Fatalf("prefixes of %q and %q", a, b)
		}
		if strings.ContainsAny(ea, "/\x00\n") {
			t.Fatalf("escape(%q) = %q", a, ea)
		}
		if a != "" {
			if back, ok := unescape(ea); !ok || back != a {
				t.Fatalf("unescape(%q) = %q, %v; want %q", ea, back, ok, a)
			}
		}
	})
}

func TestUnescapeRefusesForeignKeys(t *testing.T) {
	for _, s := range []string{"", "%", "%2", "%zz", "%2f", "%41", "a%"} {
		if name, ok := unescape(s); ok {
			t.Errorf("unescape(%q) = %q", s, name)
		}
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "locker test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}
