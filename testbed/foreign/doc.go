// Package foreign puts other lock libraries behind locker.Locker, so that the
// conformance suite can be run over them as it is over our own backends.
//
// Each adapter uses its library as that library's documentation shows, and adds
// nothing to it: no renewal, no waiting, no notice, no token that the library
// does not have. An option that has no counterpart is errors.ErrUnsupported;
// a Lock without fencing tokens has token 0, one without a deadline the zero
// time. What each library withholds is in its Library, for the suite to verify.
//
// The URL schemes are Library.Scheme, with the server's host and port, and the
// key prefix as "prefix" in the query.
package foreign
