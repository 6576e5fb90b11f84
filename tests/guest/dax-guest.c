/* SPDX-License-Identifier: MIT */
/*
 * dax-guest.c - runs in the guest of dax.sh: maps a file of a share and says what it finds, one word a line.
 *
 *   dax-guest FILE SIZE    FILE has SIZE bytes, 'a' in the first page, 'b' in the next, ... It is compared through a
 *                          mapping and with read(2), written to through a shared mapping, then cut by the host ("cut"
 * is said, a line is waited for), touched everywhere, made longer by write(2), and mapped again.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

static sigjmp_buf out;
static unsigned n_signals;

static void on_signal(int number)
{
	(void)number;
	n_signals++;
	siglongjmp(out, 1);
}

static int die(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char letter(size_t offset)
{
	return (char)('a' + offset / PAGE % 26);
}

static void compare(const char *what, const volatile char *data, size_t size)
{
	size_t wrong = 0;

	for (size_t i = 0; i < size; i += PAGE / 4)
		wrong += data[i] != letter(i);
	printf("%s %s\n", what, wrong ? "differs" : "right");
	if (wrong)
		exit(1);
}

static void compare_read(int fd, size_t size)
{
	char *data = malloc(size);

	if (!data || pread(fd, data, size, 0) != (ssize_t)size)
		die("pread");
	compare("read", data, size);
	free(data);
}

/* Reads and writes each page. A signal (the guest knows that the file is shorter) is as good as a zero. */
static void touch_all(volatile char *map, size_t size)
{
	for (volatile size_t at = 0; at < size; at += PAGE) {
		if (sigsetjmp(out, 1))
			continue;
		(void)map[at];
		map[at + 1] = 'T';
		if (at % (PAGE * 128) == 0)
			printf("touched up to %zu\n", at);
	}
	printf("touched, %u signals\n", n_signals);
}

int main(int argc, char **argv)
{
	const size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	int fd = argc > 2 ? open(argv[1], O_RDWR) : -1;
	char line[16];
	char *shared, *readonly;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGBUS, on_signal);
	if (fd < 0)
		die("open");
	readonly = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (readonly == MAP_FAILED || shared == MAP_FAILED)
		die("mmap");
	compare("mapped", readonly, size);
	compare_read(fd, size);
	memcpy(shared + 3 * PAGE + 5, "written by the guest", 20);
	if (msync(shared, size, MS_SYNC) < 0)
		die("msync");
	printf("%.20s\n", readonly + 3 * PAGE + 5);

	puts("cut it");
	if (!fgets(line, sizeof line, stdin))
		die("fgets");
	puts("heard");
	touch_all(shared, size);

	/* Longer again, by a request: where there were zeros there is the file. */
	if (ftruncate(fd, 0) < 0 || pwrite(fd, "once more", 9, 2 * PAGE) != 9)
		die("pwrite");
	printf("mapped: %.9s\n", readonly + 2 * PAGE);
	memcpy(shared + 2 * PAGE, "ONCE", 4);
	if (msync(shared, 3 * PAGE, MS_SYNC) < 0)
		die("msync");
	puts("done");
	return 0;
}
