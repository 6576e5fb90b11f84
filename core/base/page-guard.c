/* SPDX-License-Identifier: MIT */
/*
 * page-guard.c - see page-guard.h. Called by core/plugin (windows), core/machine (a vCPU that KVM cannot run on),
 * core/vm (the order of handlers), and by the kernel.
 *
 * Theory of operation: the table holds pointers to ranges. `readers` counts who may hold one: a handler or a search
 * counts itself, then loads; page_guard_free() takes the pointer out, then waits until nobody counts. So a reader needs
 * no lock, and a handler never waits.
 *
 * A replaced page is one bit in `pages`, and its word one bit in `words`, so that taking the notes does not read
 * through all of a large range. Bits are set bottom up and taken top down: none is lost. Both are mapped, not
 * allocated: they cost nothing until they are used, and a handler may touch them.
 *
 * The handler replaces what was touched without looking again: it cannot know whether reading or writing failed. So
 * it may hit a page that somebody has mapped anew meanwhile; the note tells the owner.
 *
 * A page replaced alone may split a mapping in three, and the kernel allows so many mappings (vm.max_map_count), which
 * a guest could use up by touching every other page. So all that follows in its piece and cannot be read either is
 * replaced with it: that grows together with what was replaced before. Where no mapping is left, the whole piece is
 * replaced.
 */
#include "core/base/page-guard.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(ATOMIC_LONG_LOCK_FREE == 2 && sizeof(unsigned long) == sizeof(uint64_t), "a handler takes no lock");

#define PAGE_BYTES 4096u /* x86_64 */
#define PIECE_PAGES ((unsigned)(PAGE_GUARD_PIECE / PAGE_BYTES))
#define WORD_BITS 64u
#define SEARCH_BUDGET 4096u /* pages that one search looks at in earnest */

struct page_guard {
	unsigned char *at;
	size_t len;
	int event_fd;
	size_t area_size; /* of the mapping that holds the bits */
	size_t n_words;   /* of `pages` */
	atomic_ulong *pages, *words;
	atomic_ulong *files, *shared; /* a bit for each piece */
};

static _Atomic(struct page_guard *) ranges[PAGE_GUARD_MAX];
static atomic_uint readers;

static bool installed;
static struct sigaction base;  /* before anybody of ours */
static struct sigaction front; /* whom page_guard_to_front() passed */
static atomic_bool in_front;

/* ---- bits ---- */

static size_t words_for(size_t bits)
{
	return (bits + WORD_BITS - 1) / WORD_BITS;
}

static void bit_set(atomic_ulong *bits, size_t at)
{
	atomic_fetch_or(&bits[at / WORD_BITS], 1ul << at % WORD_BITS);
}

static void bit_clear(atomic_ulong *bits, size_t at)
{
	atomic_fetch_and(&bits[at / WORD_BITS], ~(1ul << at % WORD_BITS));
}

static bool bit_get(const atomic_ulong *bits, size_t at)
{
	return atomic_load(&bits[at / WORD_BITS]) >> at % WORD_BITS & 1;
}

/* ---- looking: async-signal-safe ---- */

/*
 * How many of these n pages, from the first one on, can be read: the kernel copies a byte of each, and stops where it
 * cannot. n where it refuses to look at all.
 */
static unsigned readable(const struct iovec *pages, unsigned n)
{
	char bytes[PIECE_PAGES];
	struct iovec to = { .iov_base = bytes, .iov_len = n };
	long done = syscall(SYS_process_vm_readv, getpid(), &to, 1ul, pages, (unsigned long)n, 0ul);

	if (done >= 0)
		return (unsigned)done;
	return errno == EFAULT ? 0 : n;
}

/* The same for writing, where the kernel can tell (Linux 5.14): the pages keep what is in them. */
static unsigned writable(const struct iovec *pages, unsigned n)
{
#ifdef MADV_POPULATE_WRITE
	for (unsigned i = 0; i < n; i++)
		if (madvise(pages[i].iov_base, PAGE_BYTES, MADV_POPULATE_WRITE) < 0 && errno == EFAULT)
			return i;
#else
	(void)pages;
#endif
	return n;
}

/* ---- replacing: async-signal-safe ---- */

/* Not mmap(3): that one is a sanitizer's to watch, which allocates. */
static bool map_zeros(unsigned char *at, size_t len)
{
	return syscall(SYS_mmap, at, len, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == (long)(uintptr_t)at;
}

static bool replace(struct page_guard *guard, size_t offset, size_t len)
{
	const uint64_t one = 1;

	if (!map_zeros(guard->at + offset, len)) {
		/* No mapping is left: a whole piece needs none more. */
		size_t end = (offset + len + PAGE_GUARD_PIECE - 1) / PAGE_GUARD_PIECE * PAGE_GUARD_PIECE;

		offset -= offset % PAGE_GUARD_PIECE;
		len = end - offset;
		if (!map_zeros(guard->at + offset, len))
			return false;
	}
	(void)syscall(SYS_madvise, guard->at + offset, len, MADV_DONTDUMP);
	for (size_t page = offset / PAGE_BYTES; page < (offset + len) / PAGE_BYTES; page++) {
		bit_set(guard->pages, page);
		bit_set(guard->words, page / WORD_BITS);
	}
	if (write(guard->event_fd, &one, sizeof one) < 0)
		return true; /* the counter is full: it is told */
	return true;
}

/* Replaces the page at `offset`, and those behind it in its piece that cannot be read. How many. */
static size_t replace_run(struct page_guard *guard, size_t offset)
{
	size_t end = offset + PAGE_BYTES;

	for (; end % PAGE_GUARD_PIECE; end += PAGE_BYTES) {
		struct iovec next = { .iov_base = guard->at + end, .iov_len = 1 };

		if (readable(&next, 1))
			break;
	}
	return replace(guard, offset, end - offset) ? (end - offset) / PAGE_BYTES : 0;
}

/* ---- the handler ---- */

static void on_bus_error(int signo, siginfo_t *info, void *context)
{
	const int saved_errno = errno;
	bool mended = false;

	(void)context;
	atomic_fetch_add(&readers, 1);
	/* Not for memory that is broken (BUS_MCEERR_AR): zeros in its place would be a lie. */
	for (unsigned i = 0; i < PAGE_GUARD_MAX && info->si_code == BUS_ADRERR && !mended; i++) {
		struct page_guard *guard = atomic_load(&ranges[i]);
		size_t offset = guard ? (uintptr_t)info->si_addr - (uintptr_t)guard->at : 0;

		if (guard && offset < guard->len)
			mended = replace_run(guard, offset - offset % PAGE_BYTES);
	}
	atomic_fetch_sub(&readers, 1);
	if (!mended) {
		/* The instruction runs again and meets the next handler. A signal that was sent comes once. */
		sigaction(SIGBUS, atomic_exchange(&in_front, false) ? &front : &base, NULL);
		if (info->si_code <= 0)
			raise(signo);
	}
	errno = saved_errno;
}

static bool is_ours(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_bus_error;
}

static void take_signal(struct sigaction *former)
{
	struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, former);
}

void page_guard_install(void)
{
	if (!installed)
		take_signal(&base);
	installed = true;
}

void page_guard_to_front(void)
{
	struct sigaction now;

	if (!installed || sigaction(SIGBUS, NULL, &now) < 0 || is_ours(&now))
		return;
	front = now;
	atomic_store(&in_front, true);
	take_signal(NULL);
}

void page_guard_step_back(void)
{
	struct sigaction now;

	if (sigaction(SIGBUS, NULL, &now) == 0 && is_ours(&now) && atomic_exchange(&in_front, false))
		sigaction(SIGBUS, &front, NULL);
}

/* ---- ranges ---- */

static void guard_release(struct page_guard *guard)
{
	if (guard->pages)
		munmap(guard->pages, guard->area_size);
	free(guard);
}

int page_guard_new(void *at, size_t len, int event_fd, struct page_guard **out)
{
	struct page_guard *guard = calloc(1, sizeof *guard), *none;
	size_t n_pages = len / PAGE_BYTES, n_pieces = len / PAGE_GUARD_PIECE;
	size_t n_words = words_for(n_pages), n_words2 = words_for(n_words), n_piece_words = words_for(n_pieces);
	atomic_ulong *bits;

	if (!guard)
		return -ENOMEM;
	*guard = (struct page_guard){ .at = at, .len = len, .event_fd = event_fd, .n_words = n_words };
	guard->area_size = (n_words + n_words2 + 2 * n_piece_words) * sizeof *bits;
	bits = mmap(NULL, guard->area_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bits == MAP_FAILED) {
		guard_release(guard);
		return -ENOMEM;
	}
	guard->pages = bits;
	guard->words = guard->pages + n_words;
	guard->files = guard->words + n_words2;
	guard->shared = guard->files + n_piece_words;
	page_guard_install();
	for (unsigned i = 0; i < PAGE_GUARD_MAX; i++) {
		none = NULL;
		if (atomic_compare_exchange_strong(&ranges[i], &none, guard)) {
			*out = guard;
			return 0;
		}
	}
	guard_release(guard);
	return -ENOSPC;
}

void page_guard_free(struct page_guard *guard)
{
	if (!guard)
		return;
	for (unsigned i = 0; i < PAGE_GUARD_MAX; i++) {
		struct page_guard *this_one = guard;

		atomic_compare_exchange_strong(&ranges[i], &this_one, NULL);
	}
	/* Who counts itself from now on does not find it. */
	while (atomic_load(&readers))
		sched_yield();
	guard_release(guard);
}

void page_guard_note(struct page_guard *guard, size_t offset, size_t len, enum page_guard_content content)
{
	for (size_t piece = offset / PAGE_GUARD_PIECE; piece * PAGE_GUARD_PIECE < offset + len; piece++) {
		if (content != PAGE_GUARD_NO_FILE)
			bit_set(guard->files, piece);
		if (content == PAGE_GUARD_SHARED)
			bit_set(guard->shared, piece);
		/* Only a piece that is free as a whole is known to have no file. */
		if (content == PAGE_GUARD_NO_FILE && piece * PAGE_GUARD_PIECE >= offset &&
		    (piece + 1) * PAGE_GUARD_PIECE <= offset + len) {
			bit_clear(guard->files, piece);
			bit_clear(guard->shared, piece);
		}
	}
}

/* ---- searching ---- */

/* Replaces those of these pages that have nothing behind them. Reader. */
static size_t mend_pages(struct page_guard *guard, const struct iovec *pages, unsigned n, bool write)
{
	size_t mended = 0;

	for (unsigned i = 0; i < n; i++) {
		i += (write ? writable : readable)(pages + i, n - i);
		if (i < n)
			mended += replace_run(guard, (size_t)((unsigned char *)pages[i].iov_base - guard->at));
	}
	return mended;
}

size_t page_guard_mend(void *at, size_t len, bool write)
{
	const uintptr_t first = (uintptr_t)at, end = first + len;
	size_t mended = 0;

	atomic_fetch_add(&readers, 1);
	for (unsigned i = 0; i < PAGE_GUARD_MAX; i++) {
		struct page_guard *guard = atomic_load(&ranges[i]);

		if (!guard)
			continue;
		for (uintptr_t page = first - first % PAGE_BYTES; page < end; page += PAGE_BYTES) {
			struct iovec one = { .iov_base = guard->at + (page - (uintptr_t)guard->at), .iov_len = 1 };

			if (page - (uintptr_t)guard->at >= guard->len)
				continue;
			mended += mend_pages(guard, &one, 1, false);
			if (write)
				mended += mend_pages(guard, &one, 1, true);
		}
	}
	atomic_fetch_sub(&readers, 1);
	return mended;
}

/*
 * Three times through all pieces, from what is quick to what has consequences. mincore(2) says that all is in memory
 * where the process may not write the file, hence the second.
 */
enum pass { PASS_NOT_IN_MEMORY, PASS_ALL, PASS_WRITE, PASSES };

/* Searches one piece; counts what it looked at. Reader. */
static size_t search_piece(struct page_guard *guard, size_t piece, enum pass pass, unsigned *looked)
{
	unsigned char *at = guard->at + piece * PAGE_GUARD_PIECE, in_memory[PIECE_PAGES];
	struct iovec pages[PIECE_PAGES];
	bool know = pass == PASS_NOT_IN_MEMORY && mincore(at, PAGE_GUARD_PIECE, in_memory) == 0;
	unsigned n = 0;

	if (!bit_get(pass == PASS_WRITE ? guard->shared : guard->files, piece))
		return 0;
	for (unsigned i = 0; i < PIECE_PAGES; i++)
		if (!know || !(in_memory[i] & 1))
			pages[n++] = (struct iovec){ .iov_base = at + (size_t)i * PAGE_BYTES, .iov_len = 1 };
	*looked += n;
	return mend_pages(guard, pages, n, pass == PASS_WRITE);
}

enum page_guard_found page_guard_search(struct page_guard_search *search)
{
	enum page_guard_found found = PAGE_GUARD_NONE;
	unsigned looked = 0;

	atomic_fetch_add(&readers, 1);
	for (; search->pass < PASSES && !found; search->pass += !found) {
		for (; search->range < PAGE_GUARD_MAX && !found; search->range += !found) {
			struct page_guard *guard = atomic_load(&ranges[search->range]);
			size_t n = guard ? guard->len / PAGE_GUARD_PIECE : 0;

			for (; search->piece < n && !found; search->piece++) {
				if (search_piece(guard, search->piece, (enum pass)search->pass, &looked))
					found = PAGE_GUARD_FOUND;
				else if (looked >= SEARCH_BUDGET)
					found = PAGE_GUARD_MORE;
			}
			if (!found)
				search->piece = 0;
		}
		if (!found)
			search->range = 0;
	}
	atomic_fetch_sub(&readers, 1);
	if (!found)
		*search = (struct page_guard_search){ .pass = 0 };
	return found;
}

/* ---- the notes ---- */

/* The first word with a note, or n_words. */
static size_t first_word(const struct page_guard *guard)
{
	for (size_t i = 0; i < words_for(guard->n_words); i++) {
		unsigned long bits;

		while ((bits = atomic_load(&guard->words[i]))) {
			size_t word = i * WORD_BITS + (unsigned)__builtin_ctzl(bits);

			if (atomic_load(&guard->pages[word]))
				return word;
			bit_clear(guard->words, word);
			/* Noted in between. */
			if (atomic_load(&guard->pages[word]))
				bit_set(guard->words, word);
		}
	}
	return guard->n_words;
}

bool page_guard_take(struct page_guard *guard, size_t *offset, size_t *len)
{
	size_t word = first_word(guard), page, end;

	if (word == guard->n_words)
		return false;
	page = word * WORD_BITS + (unsigned)__builtin_ctzl(atomic_load(&guard->pages[word]));
	for (end = page; end < guard->len / PAGE_BYTES && bit_get(guard->pages, end); end++)
		bit_clear(guard->pages, end);
	*offset = page * PAGE_BYTES;
	*len = (end - page) * PAGE_BYTES;
	return true;
}
