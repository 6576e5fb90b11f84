/* SPDX-License-Identifier: MIT */
/*
 * host-inode.h - attributes as statx(2) has them: compared, and as FUSE has them.
 */
#ifndef CAPSA_VIRTIO_FS_HOST_INODE_H
#define CAPSA_VIRTIO_FS_HOST_INODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

/* FUSE has device numbers as Linux' new_encode_dev(): 12 bits of major, 20 of minor. */
static inline uint32_t device_encode(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12;
}

static inline uint32_t device_major(uint32_t rdev)
{
	return (rdev & 0xfff00) >> 8;
}

static inline uint32_t device_minor(uint32_t rdev)
{
	return (rdev & 0xff) | (rdev >> 12 & 0xfff00);
}

static inline bool time_is_same(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/*
 * Whether a change at `now` (CLOCK_REALTIME_COARSE, which file systems stamp with) or later is seen by its timestamp:
 * that of the last change is older than the coarsest grain there is, two seconds on FAT. Never at {0}.
 */
static inline bool time_is_settled(const struct statx_timestamp *changed, const struct timespec *now)
{
	return now->tv_sec - 2 > changed->tv_sec ||
	       (now->tv_sec - 2 == changed->tv_sec && now->tv_nsec > (long)changed->tv_nsec);
}

#endif
