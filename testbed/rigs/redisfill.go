package rigs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/lockerlib/locker/conformance"
	"github.com/lockerlib/locker/testbed/servers"
)

var _ conformance.Filler = (*redisFaults)(nil)

// Fill has Redis evict nothing, as is recommended for locks, and writes twice as
// much as it has room for, so that what connections take and give back makes no
// difference.
func (r *redisFaults) Fill(ctx context.Context) error {
	info, err := servers.RedisInfo(ctx, r.admin, "memory", "used_memory")
	if err != nil {
		return err
	}
	used, err := strconv.Atoi(info)
	if err != nil {
		return fmt.Errorf("rigs: %w", err)
	}
	value := strings.Repeat("x", 1<<20)
	for n := range 8 {
		if err := r.admin.Set(ctx, fmt.Sprintf("%s%d", filler, n), value, 0).Err(); err != nil {
			return err
		}
	}
	if err := errors.Join(
		r.admin.ConfigSet(ctx, "maxmemory-policy", "noeviction").Err(),
		r.admin.ConfigSet(ctx, "maxmemory", strconv.Itoa(used+4<<20)).Err(),
	); err != nil {
		return err
	}
	// What is still on its way to a replica does not count.
	return eventually(ctx, "having Redis refuse a write", func() (bool, error) {
		err := r.admin.Set(ctx, filler+"more", "", 0).Err()
		return redis.HasErrorPrefix(err, "OOM"), nil
	})
}

// Empty deletes what Fill wrote; the limit stays.
func (r *redisFaults) Empty(ctx context.Context) error {
	keys, err := r.admin.Keys(ctx, filler+"*").Result()
	if err != nil {
		return err
	}
	return r.admin.Del(ctx, keys...).Err()
}
