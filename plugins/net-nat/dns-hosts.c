/* SPDX-License-Identifier: MIT */
/*
 * dns-hosts.c - names of the host's /etc/hosts, where `hosts_file` asks for them. Called by dns.c.
 *
 * The file is small and local: it is looked at (fstatat) at each question and read again when it has changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/net-nat/dns-private.h"
#include "plugins/net-nat/names.h"

#define FILE_MAX (1u << 20)

struct hosts {
	struct nat *nat;
	int folder;
	const char *name; /* in it */
	struct stat seen;
	char *text; /* lines, NUL at the end; NULL: none */
};

int hosts_new(struct nat *nat, const char *folder, const char *name, struct hosts **out)
{
	struct hosts *hosts = calloc(1, sizeof *hosts);

	if (!hosts)
		return -ENOMEM;
	hosts->nat = nat;
	hosts->name = name;
	hosts->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*out = hosts;
	return 0;
}

void hosts_free(struct hosts *hosts)
{
	if (!hosts)
		return;
	if (hosts->folder >= 0)
		close(hosts->folder);
	free(hosts->text);
	free(hosts);
}

static void read_again(struct hosts *hosts)
{
	int fd = hosts->nat->host->file_open(hosts->nat->dev, hosts->folder, hosts->name, O_RDONLY | O_NONBLOCK, 0);
	size_t len = 0;
	ssize_t got;

	free(hosts->text);
	hosts->text = fd >= 0 ? malloc(FILE_MAX + 1) : NULL;
	if (hosts->text) {
		while (len < FILE_MAX && (got = read(fd, hosts->text + len, FILE_MAX - len)) > 0)
			len += (size_t)got;
		hosts->text[len] = '\0';
	}
	if (fd >= 0)
		close(fd);
}

static void look(struct hosts *hosts)
{
	struct stat now;

	if (fstatat(hosts->folder, hosts->name, &now, 0) < 0)
		memset(&now, 0, sizeof now);
	if (now.st_ino == hosts->seen.st_ino && now.st_size == hosts->seen.st_size &&
	    now.st_mtim.tv_sec == hosts->seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == hosts->seen.st_mtim.tv_nsec)
		return;
	hosts->seen = now;
	read_again(hosts);
}

/* A line's words: true where `name` is one of those behind the address. */
static bool line_has(const char *line, size_t len, const char *name, char address[64])
{
	static const char blank[] = " \t\r";
	char word[DNS_NAME_MAX], normal[DNS_NAME_MAX];
	bool first = true;

	for (size_t at = 0; at < len && line[at] != '#';) {
		size_t n = 0;

		at += strspn(line + at, blank);
		while (at + n < len && !strchr(blank, line[at + n]) && line[at + n] != '#')
			n++;
		if (!n)
			break;
		if (n < (first ? 64 : sizeof word)) {
			memcpy(word, line + at, n);
			word[n] = '\0';
			if (first)
				memcpy(address, word, n + 1);
			else if (names_normal(word, normal, sizeof normal) == 0 && strcmp(normal, name) == 0)
				return true;
		} else if (first) {
			return false;
		}
		first = false;
		at += n;
	}
	return false;
}

bool hosts_find(struct hosts *hosts, const char *name, bool ipv6, struct in6_addr *out, unsigned n, unsigned *found)
{
	bool known = false;
	char address[64];

	*found = 0;
	look(hosts);
	for (const char *line = hosts->text; line && *line;) {
		const size_t len = strcspn(line, "\n");
		struct in6_addr a;

		if (line_has(line, len, name, address) && net_address_parse(address, &a) == 0) {
			known = true;
			if (net_is_ipv4(&a) == !ipv6 && *found < n)
				out[(*found)++] = a;
		}
		line += len + (line[len] == '\n');
	}
	return known;
}
