/* SPDX-License-Identifier: MIT */
/*
 * fs_test.c - a guest that means harm against the real virtio-fs.so: pseudo-random FUSE requests, mostly nearly right,
 * over a scratch directory with links that lead out of it. It lives, each request comes back, the device works when all
 * is over, and nothing outside of the directory has changed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/fuse.h>

#include "core/base/path.h"
#include "tests/hostile/garbage.h"
#include "tests/unit/virtio_plugin.h"

#define SLOTS 24u     /* requests under way */
#define DESCS 8u      /* of a request at most */
#define IN_SIZE 8192u /* bytes of a request, and of its answer */
#define OUT_SIZE 8192u
#define KNOWN 64u     /* ids that the guest remembers */
#define DEADLINE 120u /* seconds for one test, then it hangs */
#define STEPS 12000u
#define LIMITS "max_bytes = \"32M\"; max_inodes = 3000; " /* the disk is not ours to fill */

struct slot {
	bool busy;
	uint32_t opcode;
	uint64_t in_at, out_at;
	uint8_t *in, *out;
	struct ring *ring;
};

static struct board board;
static struct plugged plugged;
static struct garbage g; /* its driver, two rings, random numbers */
static struct slot slots[SLOTS];
static uint64_t nodes[KNOWN], handles[KNOWN], next_unique;
static unsigned n_busy, answered, succeeded;
static bool lost;     /* no INIT stands */
static bool may_wait; /* locks=host: some never come back but by a reset */
static char scratch[] = "/tmp/capsa-hostile-fs-XXXXXX";

/* ---- the directory and what lies around it ---- */

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void make_scratch(void)
{
	strcpy(scratch + sizeof scratch - 7, "XXXXXX");
	assert_non_null(mkdtemp(scratch));
	assert_int_equal(chdir(scratch), 0);
	assert_int_equal(mkdir("share", 0755) | mkdir("share/dir", 0755) | mkdir("outside", 0755), 0);
	write_file("outside/secret", "secret");
	write_file("share/file", "some content");
	write_file("share/dir/below", "more content");
	assert_int_equal(symlink("../outside", "share/a"), 0);
	assert_int_equal(symlink("../outside/secret", "share/b"), 0);
	assert_int_equal(symlink(scratch, "share/c"), 0);
	assert_int_equal(symlink("/proc/self/root", "share/d"), 0);
}

/* Names, sizes, modes and times of all that is outside. */
static void describe(char *text, size_t size)
{
	static const char *const all[] = { ".", "outside", "outside/secret" };
	struct dirent *entry;
	DIR *dir;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct stat st;
		size_t used = strlen(text);

		assert_int_equal(lstat(all[i], &st), 0);
		snprintf(text + used, size - used,
		         "%s: mode %o owner %u:%u links %u size %ju mtime %ju.%09ld ctime %ju.%09ld\n", all[i],
		         st.st_mode, st.st_uid, st.st_gid, (unsigned)st.st_nlink, (uintmax_t)st.st_size,
		         (uintmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (uintmax_t)st.st_ctim.tv_sec,
		         st.st_ctim.tv_nsec);
	}
	dir = opendir("outside");
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		size_t used = strlen(text);

		snprintf(text + used, size - used, "%s\n", entry->d_name);
	}
	closedir(dir);
}

/* ---- requests ---- */

static uint64_t one_of(const uint64_t *known)
{
	switch (below(&g, 16)) {
	case 0:
	case 4:
	case 5:
		return FUSE_ROOT_ID;
	case 1:
		return below(&g, 16);
	case 2:
		return below(&g, UINT64_MAX);
	case 3:
		return known[below(&g, KNOWN)] ^ (1ull << below(&g, 64));
	default:
		return known[below(&g, KNOWN)];
	}
}

static void remember(uint64_t *known, uint64_t id)
{
	if (id)
		known[below(&g, KNOWN)] = id;
}

static uint64_t number(void)
{
	static const uint64_t values[] = { 0,         1,          4096,      4095,       65536,
		                           INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, 1ull << 40 };

	return below(&g, 2) ? below(&g, 16384) : values[below(&g, sizeof values / sizeof values[0])];
}

/* Appends; what does not fit is left out. */
struct writer {
	uint8_t *at;
	size_t left;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	if (len > w->left)
		len = w->left;
	memcpy(w->at, bytes, len);
	w->at += len;
	w->left -= len;
}

static void put_name(struct writer *w)
{
	static const char *const names[] = { "a",    "b",   "c",     "d",   "e",   "f",
		                             "file", "dir", "below", "new", "x y", "\xff\xfe" };
	static const char *const bad[] = { "", ".", "..", "/", "a/b", "../outside", "/etc/passwd", "/proc/self/root" };
	char name[300];
	unsigned pick = (unsigned)below(&g, 24);

	if (pick < 2) {
		memset(name, 'n', sizeof name);
		put(w, name, 250 + below(&g, 50));
		put(w, "", 1);
	} else if (pick < 4) {
		const char *chosen = bad[below(&g, sizeof bad / sizeof bad[0])];

		put(w, chosen, strlen(chosen) + 1);
	} else {
		const char *chosen = names[below(&g, sizeof names / sizeof names[0])];

		put(w, chosen, strlen(chosen) + (below(&g, 32) ? 1 : 0));
	}
}

static void put_attribute(struct writer *w)
{
	static const char *const names[] = { "user.a",           "user.b",
		                             "user.capsa.owner", "security.capability",
		                             "trusted.x",        "system.posix_acl_access",
		                             "nonsense",         "" };
	const char *name = names[below(&g, sizeof names / sizeof names[0])];

	put(w, name, strlen(name) + 1);
}

/* The fixed arguments of an opcode as a guest would fill them, now and then with a bit turned over. */
static void put_args(struct writer *w, uint32_t opcode)
{
	static const mode_t types[] = { 0, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK, S_IFMT };
	const uint64_t fh = one_of(handles), node = one_of(nodes), size = number(), offset = number();
	const uint32_t mode = (uint32_t)(types[below(&g, 9)] | below(&g, 010000));
	const uint32_t flags = (uint32_t)(below(&g, 4) ? below(&g, 3) : below(&g, UINT32_MAX));
	union {
		struct fuse_init_in init;
		struct fuse_forget_in forget;
		struct fuse_batch_forget_in batch;
		struct fuse_getattr_in getattr;
		struct fuse_setattr_in setattr;
		struct fuse_mknod_in mknod;
		struct fuse_mkdir_in mkdir;
		struct fuse_rename_in rename;
		struct fuse_rename2_in rename2;
		struct fuse_link_in link;
		struct fuse_open_in open;
		struct fuse_create_in create;
		struct fuse_read_in read;
		struct fuse_write_in write;
		struct fuse_release_in release;
		struct fuse_flush_in flush;
		struct fuse_fsync_in fsync;
		struct fuse_setxattr_in setxattr;
		struct fuse_getxattr_in getxattr;
		struct fuse_lk_in lk;
		struct fuse_access_in access;
		struct fuse_interrupt_in interrupt;
		struct fuse_fallocate_in fallocate;
		struct fuse_lseek_in lseek;
		struct fuse_copy_file_range_in copy;
		struct fuse_setupmapping_in setup;
		struct fuse_removemapping_in remove;
		uint8_t bytes[128];
	} args;
	size_t len = 0;

	memset(&args, 0, sizeof args);
#define ARGS(member, ...) (args.member = (__typeof__(args.member)){ __VA_ARGS__ }, len = sizeof args.member)
	switch (opcode) {
	case FUSE_INIT:
		ARGS(init, .major = below(&g, 8) ? FUSE_KERNEL_VERSION : flags, .minor = below(&g, 4) ? 38 : flags,
		     .flags = (uint32_t)below(&g, 1ull << 32), .max_readahead = (uint32_t)size);
		break;
	case FUSE_FORGET:
		ARGS(forget, .nlookup = below(&g, 4) ? 1 : number());
		break;
	case FUSE_BATCH_FORGET: {
		struct fuse_forget_one ones[8];

		for (unsigned i = 0; i < 8; i++)
			ones[i] = (struct fuse_forget_one){ .nodeid = one_of(nodes), .nlookup = below(&g, 3) };
		ARGS(batch, .count = below(&g, 4) ? 8 : flags);
		put(w, &args, len);
		put(w, ones, sizeof ones);
		return;
	}
	case FUSE_GETATTR:
		ARGS(getattr, .getattr_flags = flags, .fh = fh);
		break;
	case FUSE_SETATTR:
		ARGS(setattr, .valid = (uint32_t)below(&g, 4096), .fh = fh, .size = size, .mode = mode, .uid = flags,
		     .gid = flags, .atime = offset, .mtime = size, .atimensec = (uint32_t)below(&g, 1100000000));
		break;
	case FUSE_MKNOD:
		ARGS(mknod, .mode = mode, .rdev = flags, .umask = 022);
		break;
	case FUSE_MKDIR:
		ARGS(mkdir, .mode = mode, .umask = 022);
		break;
	case FUSE_RENAME:
		ARGS(rename, .newdir = node);
		break;
	case FUSE_RENAME2:
		ARGS(rename2, .newdir = node, .flags = flags);
		break;
	case FUSE_LINK:
		ARGS(link, .oldnodeid = node);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		ARGS(open, .flags = below(&g, 2) ? (uint32_t)below(&g, 3) : (uint32_t)below(&g, UINT32_MAX),
		     .open_flags = flags);
		break;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		ARGS(create, .flags = below(&g, 2) ? O_RDWR : (uint32_t)below(&g, UINT32_MAX), .mode = mode,
		     .open_flags = flags);
		break;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		ARGS(read, .fh = fh, .offset = below(&g, 2) ? 0 : offset, .size = (uint32_t)size, .flags = flags);
		break;
	case FUSE_WRITE:
		ARGS(write, .fh = fh, .offset = offset, .size = below(&g, 4) ? 100 : (uint32_t)size,
		     .write_flags = (uint32_t)below(&g, 8), .flags = flags);
		put(w, &args, len);
		put(w, "..........", 10);
		w->at += w->left < 90 ? w->left : 90;
		w->left -= w->left < 90 ? w->left : 90;
		return;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		ARGS(release, .fh = fh, .flags = flags, .release_flags = (uint32_t)below(&g, 4),
		     .lock_owner = below(&g, 4));
		break;
	case FUSE_FLUSH:
		ARGS(flush, .fh = fh, .lock_owner = below(&g, 4));
		break;
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		ARGS(fsync, .fh = fh, .fsync_flags = flags);
		break;
	case FUSE_SETXATTR:
		ARGS(setxattr, .size = below(&g, 4) ? 5 : (uint32_t)size, .flags = flags);
		put(w, &args, FUSE_COMPAT_SETXATTR_IN_SIZE);
		put_attribute(w);
		put(w, "value", 5);
		return;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		ARGS(getxattr, .size = (uint32_t)size);
		break;
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		ARGS(lk, .fh = fh, .owner = below(&g, 4), .lk_flags = (uint32_t)below(&g, 2),
		     .lk = { .start = offset, .end = below(&g, 2) ? INT64_MAX : size, .type = (uint32_t)below(&g, 4) });
		break;
	case FUSE_ACCESS:
		ARGS(access, .mask = flags);
		break;
	case FUSE_INTERRUPT:
		ARGS(interrupt, .unique = next_unique - below(&g, 40));
		break;
	case FUSE_FALLOCATE:
		ARGS(fallocate, .fh = fh, .offset = offset, .length = size, .mode = (uint32_t)below(&g, 128));
		break;
	case FUSE_LSEEK:
		ARGS(lseek, .fh = fh, .offset = offset, .whence = (uint32_t)below(&g, 6));
		break;
	case FUSE_COPY_FILE_RANGE:
		ARGS(copy, .fh_in = fh, .off_in = offset, .nodeid_out = node, .fh_out = one_of(handles),
		     .off_out = size, .len = number(), .flags = below(&g, 16) ? 0 : flags);
		break;
	case FUSE_SETUPMAPPING:
		ARGS(setup, .fh = fh, .foffset = below(&g, 2) ? 0 : offset, .len = below(&g, 2) ? 2 << 20 : size,
		     .flags = below(&g, 4), .moffset = below(&g, 2) ? 0 : offset);
		break;
	case FUSE_REMOVEMAPPING: {
		struct fuse_removemapping_one one = { .moffset = below(&g, 2) ? 0 : offset,
			                              .len = below(&g, 2) ? 2 << 20 : size };

		ARGS(remove, .count = below(&g, 4) ? 1 : flags);
		put(w, &args, len);
		put(w, &one, sizeof one);
		return;
	}
	case FUSE_SYNCFS:
		len = sizeof(struct fuse_syncfs_in);
		break;
	default:
		break;
	}
#undef ARGS
	if (len && below(&g, 32) == 0)
		args.bytes[below(&g, len)] ^= (uint8_t)(1u << below(&g, 8));
	if (below(&g, 64) == 0)
		len = below(&g, sizeof args);
	put(w, &args, len);
}

static void put_names(struct writer *w, uint32_t opcode)
{
	switch (opcode) {
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_SYMLINK:
		put_name(w);
		put_name(w);
		break;
	case FUSE_GETXATTR:
	case FUSE_REMOVEXATTR:
		put_attribute(w);
		break;
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_LINK:
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		put_name(w);
		break;
	default:
		break;
	}
}

static uint32_t any_opcode(void)
{
	static const uint32_t often[] = { FUSE_LOOKUP, FUSE_CREATE, FUSE_OPEN,       FUSE_WRITE,
		                          FUSE_READ,   FUSE_MKDIR,  FUSE_OPENDIR,    FUSE_READDIR,
		                          FUSE_RENAME, FUSE_LINK,   FUSE_READDIRPLUS };

	if (below(&g, 3) == 0)
		return often[below(&g, sizeof often / sizeof often[0])];
	if (below(&g, 200) == 0)
		return (uint32_t)below(&g, UINT32_MAX);
	for (;;) {
		uint32_t opcode = (uint32_t)below(&g, 54);
		/* These forget everything, or take a disk's time. */
		bool rare = opcode == FUSE_INIT || opcode == FUSE_DESTROY || opcode == FUSE_SYNCFS ||
		            opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR;

		if (!rare || below(&g, 20) == 0)
			return opcode;
	}
}

/* Up to `most` descriptors over [at, at + len). */
static unsigned cut(struct ring *ring, unsigned first, unsigned most, uint64_t at, size_t len, uint16_t flags)
{
	unsigned n = 1 + (unsigned)below(&g, most);

	for (unsigned i = 0; i < n; i++) {
		size_t piece = i == n - 1 ? len : below(&g, len + 1);

		ring_desc(ring, first + i, at, (uint32_t)piece, (uint16_t)(flags | VRING_DESC_F_NEXT),
		          (uint16_t)(first + i + 1));
		at += piece;
		len -= piece;
	}
	return n;
}

static void offer_request(struct slot *slot, unsigned index, uint32_t opcode)
{
	const bool forget = opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET;
	struct fuse_in_header in = { .opcode = opcode, .unique = next_unique++, .nodeid = one_of(nodes), .pid = 1 };
	struct writer w = { slot->in + sizeof in, IN_SIZE - sizeof in };
	size_t len, room = below(&g, 8) ? OUT_SIZE : below(&g, 200);
	struct ring *ring = &g.rings[forget || below(&g, 16) == 0 ? 0 : 1];
	unsigned first = index * DESCS, n;

	in.uid = below(&g, 4) ? 0 : (uint32_t)below(&g, 70000);
	in.gid = in.uid;
	put_args(&w, opcode);
	put_names(&w, opcode);
	if (below(&g, 16) == 0) { /* something behind */
		w.at += below(&g, w.left + 1);
	}
	len = (size_t)(w.at - slot->in);
	in.len = (uint32_t)(below(&g, 32) ? len : number());
	memcpy(slot->in, &in, sizeof in);
	if (below(&g, 64) == 0)
		len = below(&g, len + 1);
	slot->opcode = opcode;
	slot->ring = ring;
	slot->busy = true;
	n_busy++;
	n = cut(ring, first, 4, slot->in_at, len, 0);
	if (!forget || below(&g, 8) == 0)
		n += cut(ring, first + n, 3, slot->out_at, room, VRING_DESC_F_WRITE);
	ring->desc[first + n - 1].flags &= (uint16_t)~VRING_DESC_F_NEXT;
	ring_offer(ring, (uint16_t)first);
	if (below(&g, 3))
		ring_notify(ring);
}

/* ---- answers ---- */

static void learn(struct slot *slot, size_t len)
{
	struct fuse_out_header out;
	struct fuse_entry_out entry;
	struct fuse_open_out opened;
	const uint8_t *data = slot->out + sizeof out;

	memcpy(&out, slot->out, sizeof out);
	if (out.len != len || out.error > 0 || out.error <= -512 || (out.error && len != sizeof out))
		fail_msg("opcode %u: an answer of %zu bytes says len %u, error %d", slot->opcode, len, out.len,
		         out.error);
	answered++;
	lost = out.error == -EIO;
	if (out.error)
		return;
	succeeded++;
	len -= sizeof out;
	switch (slot->opcode) {
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		if (len >= sizeof entry) {
			memcpy(&entry, data, sizeof entry);
			remember(nodes, entry.nodeid);
		}
		if (len >= sizeof entry + sizeof opened) {
			memcpy(&opened, data + sizeof entry, sizeof opened);
			remember(handles, opened.fh);
		}
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		if (len >= sizeof opened) {
			memcpy(&opened, data, sizeof opened);
			remember(handles, opened.fh);
		}
		break;
	case FUSE_READDIRPLUS:
		if (len >= sizeof entry) {
			memcpy(&entry, data, sizeof entry);
			remember(nodes, entry.nodeid);
		}
		break;
	default:
		break;
	}
}

static void collect(void)
{
	board_settle(&board);
	for (unsigned i = 0; i < 2; i++) {
		struct vring_used_elem used;

		while (ring_used(&g.rings[i], &used)) {
			struct slot *slot = &slots[used.id / DESCS];

			assert_true(used.id % DESCS == 0 && used.id / DESCS < SLOTS && slot->busy &&
			            slot->ring == &g.rings[i]);
			if (used.len >= sizeof(struct fuse_out_header))
				learn(slot, used.len);
			slot->busy = false;
			n_busy--;
		}
	}
}

/* ---- a machine's life ---- */

static void tell_init(void)
{
	const struct fuse_in_header in = { .len = sizeof in + sizeof(struct fuse_init_in),
		                           .opcode = FUSE_INIT,
		                           .unique = 1 };
	const struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION,
		                           .minor = FUSE_KERNEL_MINOR_VERSION,
		                           .flags = UINT32_MAX,
		                           .flags2 = UINT32_MAX };
	struct slot *slot = &slots[0];
	struct fuse_out_header out = { .error = -1 };

	memcpy(slot->in, &in, sizeof in);
	memcpy(slot->in + sizeof in, &init, sizeof init);
	ring_desc(&g.rings[1], 0, slot->in_at, in.len, VRING_DESC_F_NEXT, 1);
	ring_desc(&g.rings[1], 1, slot->out_at, OUT_SIZE, VRING_DESC_F_WRITE, 0);
	slot->busy = true;
	slot->ring = &g.rings[1];
	slot->opcode = FUSE_INIT;
	n_busy++;
	ring_offer(&g.rings[1], 0);
	ring_notify(&g.rings[1]);
	while (slot->busy)
		collect();
	memcpy(&out, slot->out, sizeof out);
	assert_int_equal(out.error, 0);
	lost = false;
	for (unsigned i = 0; i < KNOWN; i++) {
		nodes[i] = FUSE_ROOT_ID;
		handles[i] = 0;
	}
}

static void start_again(void)
{
	board.next_free = g.data;
	driver_start(&g.driver, 1ull << VIRTIO_RING_F_EVENT_IDX, g.rings, 2);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *slot = &slots[i];

		slot->busy = false;
		slot->in_at = board_alloc(&board, IN_SIZE, 8);
		slot->out_at = board_alloc(&board, OUT_SIZE, 8);
		slot->in = board_at(&board, slot->in_at, IN_SIZE);
		slot->out = board_at(&board, slot->out_at, OUT_SIZE);
	}
	n_busy = 0;
	tell_init();
}

static struct slot *free_slot(void)
{
	unsigned at = (unsigned)below(&g, SLOTS);

	for (unsigned i = 0; i < SLOTS; i++)
		if (!slots[(at + i) % SLOTS].busy)
			return &slots[(at + i) % SLOTS];
	return NULL;
}

static void settle_all(void)
{
	ring_notify(&g.rings[0]);
	ring_notify(&g.rings[1]);
	while (n_busy)
		collect();
}

static void throw_requests(unsigned steps)
{
	for (unsigned step = 0; step < steps; step++) {
		struct slot *slot = free_slot();

		while (!slot) {
			if (may_wait)
				start_again();
			else
				settle_all();
			slot = free_slot();
		}
		offer_request(slot, (unsigned)(slot - slots), any_opcode());
		if (below(&g, 4) == 0) /* what it changes while it is read */
			slot->in[below(&g, 128)] ^= (uint8_t)(1u << below(&g, 8));
		if (below(&g, 3) == 0)
			collect();
		if (below(&g, 1000) == 0 || (lost && may_wait && below(&g, 8) == 0))
			start_again();
		if (lost && !may_wait && below(&g, 8) == 0) {
			settle_all();
			tell_init();
		}
	}
	if (!may_wait)
		settle_all();
	start_again();
}

static int setup(void **state)
{
	(void)state;
	alarm(DEADLINE * garbage_steps(1));
	board_create(&board, 0);
	make_scratch();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	plugged_end(&plugged);
	board_destroy(&board);
	assert_int_equal(chdir("/"), 0);
	path_remove_tree(scratch);
	alarm(0);
	return 0;
}

/* On the board's own loop, which runs in board_settle(): without `loops` the device would have a thread of its own. */
static void plug(const char *entry)
{
	const struct plugin_environment environment = {
		.main = board.home, .loops = &board.home, .n_loops = 1, .vcpus = 1, .machine_name = "board"
	};
	struct error err = { .text = "" };

	plugged_start_in(&plugged, &environment, "virtio-fs", entry);
	assert_int_equal(plugin_device_attach(plugged.device, &board.platform, &err), 0);
}

static void survives(const char *options, uint64_t seed)
{
	char before[2048], after[2048], entry[512];

	describe(before, sizeof before);
	answered = succeeded = 0;
	next_unique = 100;
	snprintf(entry, sizeof entry, "tag = \"share0\"; path = \"%s/share\"; %s", scratch, options);
	plug(entry);
	g = (struct garbage){ .board = &board, .n_rings = 2, .state = seed };
	g.data = board_alloc(&board, 4096, 4096);
	driver_find(&g.driver, &board, 1);
	start_again();
	throw_requests(garbage_steps(STEPS));
	assert_true(answered > STEPS / 4);
	assert_true(succeeded > STEPS / 40);
	describe(after, sizeof after);
	assert_string_equal(after, before);
	assert_in_range(board_log_lines(), 0, 20);
}

static void a_share_survives(void **state)
{
	(void)state;
	may_wait = false;
	survives(LIMITS, 1);
}

static void a_readonly_share_survives_and_stays_as_it_was(void **state)
{
	struct stat st;
	DIR *dir;
	unsigned n = 0;

	(void)state;
	may_wait = false;
	survives("readonly = true; dax = \"2M\";", 22);
	dir = opendir("share");
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	assert_int_equal(n, 8);
	assert_int_equal(lstat("share/file", &st), 0);
	assert_int_equal(st.st_size, 12);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
}

static void a_squashed_share_with_locks_survives(void **state)
{
	(void)state;
	may_wait = true;
	survives("owner = \"squash\"; locks = \"host\"; cache = \"none\"; " LIMITS, 333);
}

static void a_mapped_share_survives(void **state)
{
	(void)state;
	may_wait = false;
	survives("owner = \"squash\"; uid_map = [ \"0:1000:10\" ]; gid_map = [ \"0:1000:10\" ]; writeback = "
	         "true; " LIMITS,
	         4444);
}

static void a_share_without_attributes_survives(void **state)
{
	(void)state;
	may_wait = false;
	survives("xattr = false; cache = \"always\"; workers = 1; " LIMITS, 55555);
}

/* Not the requests but what carries them. */
static void its_rings_survive(void **state)
{
	static garbage_kind *const kinds[] = { garbage_to_config, garbage_to_bar,  garbage_to_registers,
		                               garbage_to_msix,   garbage_to_ring, garbage_to_rings_as_bytes };
	char entry[512];

	(void)state;
	snprintf(entry, sizeof entry, "tag = \"share0\"; path = \"%s/share\"; dax = \"2M\"; readonly = true;", scratch);
	plug(entry);
	garbage_begin(&g, &board, 1, 2, 7);
	garbage_throw(&g, kinds, sizeof kinds / sizeof kinds[0], garbage_steps(20000));
	garbage_restore(&g);
	start_again();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_share_survives),
		TEST(a_readonly_share_survives_and_stays_as_it_was),
		TEST(a_squashed_share_with_locks_survives),
		TEST(a_mapped_share_survives),
		TEST(a_share_without_attributes_survives),
		TEST(its_rings_survive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
