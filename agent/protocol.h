/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - the words between capsa and the agent in its guest. Shared by agent/ and core/sandbox/.
 *
 * THE STREAM. A vsock connection (AGENT_PORT) carries frames: struct agent_frame, then `length` bytes of payload.
 * Both sides first send AGENT_HELLO on channel 0. There are two kinds of connections, which speak the same:
 *
 *   the link      the agent connects to the host (CID 2) as soon as it serves: that is how "ready" is an event
 *   clients       the host connects to the agent, once for each `capsa exec`, `cp`, ...
 *
 * Whoever is on the host's side is the client: it opens channels by a request, on any channel number but 0 that it does
 * not use at the moment. A connection carries many channels at once. A channel ends with the one final frame that the
 * agent sends on it (AGENT_EXIT or AGENT_RESULT), always the last of that channel; then its number is free again. When
 * a connection ends, everything that its channels had under way is ended too, commands by SIGKILL.
 *
 * STREAMS AND CREDIT. Bytes travel as AGENT_DATA frames on a stream of the channel (enum agent_stream). Each stream
 * begins with a credit of AGENT_WINDOW bytes; its receiver grants more by AGENT_WINDOW_ADD as it consumes them. Only
 * the payload of AGENT_DATA counts. A sender that exceeds its credit breaks its channel. AGENT_END says that no more
 * comes. AGENT_CLOSE, by the receiver, says that no more is wanted (it may cross data under way, which is dropped).
 *
 * ERRORS. A frame that is malformed, too long (AGENT_FRAME_MAX), of an unknown type, or against the rules breaks its
 * channel only: the agent skips its payload, ends what the channel had under way and sends AGENT_RESULT with EPROTO.
 * For a channel that is not open, such a frame (also a late one behind the final frame) is ignored, unless it is a
 * request, which is answered by that result. An agent that gets no HELLO first, or one without a version in common,
 * says HELLO and closes.
 *
 * Numbers are little-endian. "string" below: u32 length, then as many bytes, with no NUL in them (bytes: any). "list":
 * u32 count, then as many strings. Paths are those of the guest, absolute or relative to "/". Fields may be appended to
 * a payload by later versions: what a reader does not know at its end it ignores. Retired numbers are not used again.
 */
#ifndef CAPSA_AGENT_PROTOCOL_H
#define CAPSA_AGENT_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_PORT 52u          /* on both sides */
#define AGENT_MAGIC 0x53504143u /* "CAPS" */
#define AGENT_VERSION_MIN 1u    /* the versions that this side speaks */
#define AGENT_VERSION_MAX 1u
#define AGENT_FRAME_MAX (1u << 20) /* bytes of payload */
#define AGENT_DATA_MAX (64u << 10) /* what senders put into one AGENT_DATA, at most */
#define AGENT_WINDOW (256u << 10)  /* bytes of credit that every stream begins with */
#define AGENT_CHANNELS_MAX 1024u   /* open at a time on one connection; one more is refused with EMFILE */

struct agent_frame {
	uint32_t length; /* of the payload */
	uint32_t channel;
	uint16_t type;   /* enum agent_type */
	uint16_t stream; /* enum agent_stream where the type has one, else 0 */
};

enum agent_type {
	/*
	 * Both: u32 AGENT_MAGIC, u16 lowest version, u16 highest version, string program and its version ("capsa
	 * 0.1.0"). The agent appends: u64 x4, nanoseconds of its CLOCK_BOOTTIME: init began, modules were loaded and
	 * file systems mounted, the agent served, now.
	 */
	AGENT_HELLO = 1,

	/* ---- requests, client to agent: each opens a channel ---- */

	/*
	 * u32 flags (AGENT_EXEC_*), u16 rows, u16 columns (of the terminal), u64 time-out in milliseconds (0: none),
	 * string user ("": root; "name", "name:group", or numbers), string cwd ("": the user's home, or "/"),
	 * list argv (at least one; argv[0] is looked up in PATH where it has no '/'), list env ("K=V", added to the
	 * agent's own; "K" alone removes).
	 * Streams: INPUT, OUTPUT, ERROR (a terminal has no ERROR). Replies: STARTED, then EXIT; or RESULT where it
	 * could not be started.
	 */
	AGENT_EXEC = 16,
	/* string path, u64 offset, u64 length (0: to the end). Stream OUTPUT, then RESULT. */
	AGENT_READ = 17,
	/* string path, u32 mode (of a new file), u32 flags (AGENT_WRITE_*). Stream INPUT; RESULT after its END. */
	AGENT_WRITE = 18,
	/* string path. Stream OUTPUT: records as of STAT, whole ones in each AGENT_DATA, in no order. RESULT. */
	AGENT_LIST = 19,
	/*
	 * string path, u32 follow (of a last link). RESULT with a record: string name (last component), u32 mode, u32
	 * uid, u32 gid, u64 size, u64 inode, u64 links, i64 mtime seconds, u32 mtime nanoseconds, u64 device (of a
	 * node), u64 blocks of 512 bytes, bytes target (of a link).
	 */
	AGENT_STAT = 20,
	/* string path, u32 recursive. RESULT. A link is removed, not followed. */
	AGENT_REMOVE = 21,
	/* string path, u32 mode, u32 parents (as mkdir -p). RESULT. */
	AGENT_MKDIR = 22,
	/* string path. Stream OUTPUT: the tree as of agent/tree.h. RESULT. */
	AGENT_TREE_READ = 23,
	/* string folder, string name ("": that in the stream). Stream INPUT: a tree, put into folder. RESULT after its
	   END. */
	AGENT_TREE_WRITE = 24,
	/*
	 * Empty. RESULT with a list of words in pairs, key then value: kernel, hostname, cpus, memory_total,
	 * memory_available (bytes), uptime (seconds), time (seconds since 1970), agent, and "mount" any number of times
	 * (a line of /proc/mounts).
	 */
	AGENT_INFO = 25,
	/*
	 * string source, string target (made if need be), string type, string options (as mount -o), u32 flags
	 * (AGENT_MOUNT_*), string options for a second try where the file system does not take the first ones (EINVAL;
	 * "": none). Flags and what follows may be missing. RESULT, with u32: 1 where it took the second try. The target
	 * "/" makes it the root of all that follows, as switch_root(8): /dev, /proc, /sys, /run and /tmp are the same.
	 */
	AGENT_MOUNT = 26,
	/*
	 * u32 mode (enum agent_shutdown), u32 grace in milliseconds between SIGTERM and SIGKILL for what runs. RESULT
	 * comes first, then the machine ends.
	 */
	AGENT_SHUTDOWN = 27,
	/* i64 nanoseconds since 1970: sets the clock. RESULT. */
	AGENT_CLOCK = 28,
	/*
	 * string MAC of a network card ("": the only one), u32 MTU (0: as it is), list addresses ("10.0.2.2/24",
	 * "fd00::2/64"), list gateways, list name servers, list domains to search, string host name ("": as it is).
	 * RESULT. Once more is fine.
	 */
	AGENT_NETWORK = 29,

	/* ---- on an open channel, client to agent ---- */

	AGENT_SIGNAL = 48, /* u32 signal: to the command's process group */
	AGENT_RESIZE = 49, /* u16 rows, u16 columns */
	AGENT_CANCEL = 50, /* empty: end it; the final frame comes nevertheless */

	/* ---- on an open channel, both ---- */

	AGENT_DATA = 64,
	AGENT_END = 65,        /* empty */
	AGENT_WINDOW_ADD = 66, /* u32 bytes */
	AGENT_CLOSE = 67,      /* empty */

	/* ---- replies, agent to client ---- */

	AGENT_STARTED = 80, /* u32 process number in the guest */
	/* u32 how (enum agent_exit), u32 status or signal, u32 flags (AGENT_EXIT_*). Final. */
	AGENT_EXIT = 81,
	/* u32 errno (0: done), u32 stage (enum agent_stage), string cause (for people; ""), then what the request says.
	   Final. */
	AGENT_RESULT = 82,
};

enum agent_stream { AGENT_INPUT = 0, AGENT_OUTPUT = 1, AGENT_ERROR = 2 };
#define AGENT_STREAMS 3u

enum {
	AGENT_EXEC_TTY = 1,  /* a terminal of its own, a session of its own */
	AGENT_EXEC_SYNC = 2, /* writes back all file systems before EXIT: the machine may end without another word */
};

enum {
	AGENT_WRITE_APPEND = 1,
	AGENT_WRITE_EXCLUSIVE = 2, /* EEXIST where it is there */
	AGENT_WRITE_PARENTS = 4,   /* makes the folders above, 0755 */
};

enum {
	AGENT_MOUNT_ONCE = 1,    /* nothing is done where that source is mounted on that target already */
	AGENT_MOUNT_OVERLAY = 2, /* read-only, below an overlay that has the source's name and keeps changes in memory */
};

enum agent_exit { AGENT_EXITED = 0, AGENT_SIGNALLED = 1, AGENT_TIMED_OUT = 2 };
enum { AGENT_EXIT_OUT_OF_MEMORY = 1 }; /* the guest's kernel killed something for lack of memory meanwhile */

/* What a RESULT's errno is about. */
enum agent_stage {
	AGENT_STAGE_REQUEST = 0, /* the request itself */
	AGENT_STAGE_SETUP = 1,   /* user, folder, terminal: before the command was looked for */
	AGENT_STAGE_COMMAND = 2, /* execve(2): ENOENT not found, EACCES and ENOEXEC cannot execute */
};

enum agent_shutdown { AGENT_POWER_OFF = 0, AGENT_REBOOT = 1 };

/* ---- putting payloads together and taking them apart: protocol.c; no allocation, any thread ---- */

/* Appends to a buffer of the caller's. What does not fit sets `failed`, and nothing more is written. */
struct agent_writer {
	unsigned char *at;
	size_t room, used;
	bool failed;
};

struct agent_writer agent_writer_on(void *buffer, size_t room);
void agent_write_u16(struct agent_writer *w, uint16_t value);
void agent_write_u32(struct agent_writer *w, uint32_t value);
void agent_write_u64(struct agent_writer *w, uint64_t value);
void agent_write_bytes(struct agent_writer *w, const void *bytes, size_t len); /* u32 length in front */
void agent_write_string(struct agent_writer *w, const char *text);
void agent_write_list(struct agent_writer *w, const char *const *words); /* ends with NULL */

/* Takes from a payload. Beyond its end, or a string with a NUL in it: `failed` is set and zeros, "" come back. */
struct agent_reader {
	const unsigned char *at;
	size_t left;
	bool failed;
};

struct agent_reader agent_reader_on(const void *payload, size_t len);
uint16_t agent_read_u16(struct agent_reader *r);
uint32_t agent_read_u32(struct agent_reader *r);
uint64_t agent_read_u64(struct agent_reader *r);
/* Points into the payload: not terminated. */
const void *agent_read_bytes(struct agent_reader *r, size_t *len);
/* Copies, with a NUL behind, into `to`; longer than room - 1: fails. */
void agent_read_string(struct agent_reader *r, char *to, size_t room);

/* Words of the other side that may be printed: control characters (C0, DEL, and C1 as UTF-8 has it) become '?'. */
void agent_replace_controls(char *text);

/* The header as it travels: AGENT_FRAME_SIZE bytes. */
#define AGENT_FRAME_SIZE 12u
void agent_frame_encode(const struct agent_frame *frame, unsigned char to[AGENT_FRAME_SIZE]);
struct agent_frame agent_frame_decode(const unsigned char from[AGENT_FRAME_SIZE]);

/* The payload of HELLO but for the agent's times. */
void agent_write_hello(struct agent_writer *w, const char *program);
/*
 * Checks the other side's and settles the version: the highest that both speak. 0, -EPROTO (no HELLO), or
 * -EPROTONOSUPPORT. What the other side said of itself comes back in `program` ("" where it is not to be read).
 */
struct agent_peer {
	uint16_t version;         /* settled */
	uint16_t lowest, highest; /* the other side's */
	char program[64];
};
int agent_read_hello(struct agent_reader *r, struct agent_peer *peer);

#endif
