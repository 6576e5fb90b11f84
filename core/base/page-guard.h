/* SPDX-License-Identifier: MIT */
/*
 * page-guard.h - mappings of files that others may truncate, without dying of it.
 *
 * A page of a mapped file that lies behind the file's end, or that its disk cannot deliver, has nothing behind it: who
 * touches it in user space gets SIGBUS, who has the kernel touch it (KVM_RUN, read(2)) gets EFAULT. A guarded range has
 * such pages replaced by anonymous zero pages, the only thing that can be there in their place:
 *
 *   - touched by this process: by the handler of SIGBUS, on the thread that touched it, which then goes on;
 *   - touched by KVM, which says at best where: by page_guard_mend(), or by page_guard_search().
 *
 * What was replaced is noted in the guard; its owner is told by an eventfd and asks page_guard_take().
 *
 * THE ONE TABLE. A signal's action belongs to the process and its handler gets no context of ours, so that what it
 * knows must stand in a variable of the process: a table of the guarded ranges, in page-guard.c and nowhere else. The
 * handler reads it without a lock; who removes a range waits for the handlers that are at work.
 *
 * OTHER HANDLERS. A SIGBUS that is not for a guarded range, or that a process has sent, goes to the action that was
 * there before, and by default ends the process as if nothing had been in between. Who comes later (the console plugin
 * puts the terminal's modes back before capsa crashes; AddressSanitizer comes earlier) would take a guarded page for a
 * crash: page_guard_to_front() goes before them, page_guard_step_back() lets them leave in order. A thread that blocks
 * SIGBUS is killed by it, whoever handles it, so no thread may.
 */
#ifndef CAPSA_BASE_PAGE_GUARD_H
#define CAPSA_BASE_PAGE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ranges that may be guarded at a time: every shared-memory window of a full PCI bus. */
#define PAGE_GUARD_MAX 96u
/* What stands in a range is known by pieces of this size (bytes, from the range's start). */
#define PAGE_GUARD_PIECE (2ull << 20)

struct page_guard;

/* Takes SIGBUS. Before anybody else does; the first page_guard_new() does it too. Main thread, any number of times. */
void page_guard_install(void);
/* Before all who have taken SIGBUS meanwhile; and behind them again. Main thread. */
void page_guard_to_front(void);
void page_guard_step_back(void);

/*
 * Guards [at, at+len), a mapping of the caller's of whole pieces, readable and writable. Adds to `event_fd` (an
 * eventfd, the caller's, not blocking) whenever pages were replaced. 0, -ENOMEM, -ENOSPC: PAGE_GUARD_MAX are guarded.
 * Main thread.
 */
int page_guard_new(void *at, size_t len, int event_fd, struct page_guard **out);
/* After it nothing is replaced any more: before the range is unmapped. NULL is fine. Main thread. */
void page_guard_free(struct page_guard *guard);

/* What was mapped: only pieces with files are searched. */
enum page_guard_content {
	PAGE_GUARD_NO_FILE,
	PAGE_GUARD_PRIVATE, /* MAP_PRIVATE */
	PAGE_GUARD_SHARED,  /* MAP_SHARED */
};

/*
 * Says what is in [offset, offset+len) of the range. A file: before it is mapped; none: after that. Any thread.
 */
void page_guard_note(struct page_guard *guard, size_t offset, size_t len, enum page_guard_content content);

/*
 * Replaces those pages of [at, at+len) that are guarded and have nothing behind them, for reading or, where `write`,
 * for writing, and such neighbours as follow them. Without touching them from user space: no signal. How many were
 * replaced. Any thread.
 */
size_t page_guard_mend(void *at, size_t len, bool write);

/* Where a search stands. Zeroed at first. */
struct page_guard_search {
	unsigned pass, range;
	size_t piece;
};

enum page_guard_found {
	PAGE_GUARD_NONE,  /* every range was searched and no page replaced; the search begins anew */
	PAGE_GUARD_MORE,  /* none yet, there is more to search */
	PAGE_GUARD_FOUND, /* pages were replaced; more may be found by searching on */
};

/*
 * Searches all guarded ranges for pages with nothing behind them, and replaces those. One call looks at 16 MiB in
 * earnest, which may have to be read from a disk; what is in memory already is passed over quickly at first. Pages that
 * can be read but not written to (a hole in a file on a disk that is full) come last. Any thread.
 */
enum page_guard_found page_guard_search(struct page_guard_search *search);

/*
 * Takes one run of replaced pages out of the notes: bytes from the range's start. false: there is none (any more). One
 * thread at a time.
 */
bool page_guard_take(struct page_guard *guard, size_t *offset, size_t *len);

#endif
