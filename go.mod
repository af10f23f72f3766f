module github.com/lockerlib/locker

go 1.26.0
