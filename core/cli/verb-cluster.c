/* SPDX-License-Identifier: MIT */
/*
 * verb-cluster.c - `capsa cluster`: which clusters of this user there are, and what the switch of one knows. What it
 * says is shown and nothing else: a guest may have got the better of it, so no byte of it reaches a terminal that is
 * no letter there.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/base/timeline.h"
#include "core/cli/machines.h"
#include "core/cli/verb.h"
#include "core/control/cluster-client.h"

#define PATIENCE_NS (5 * INT64_C(1000000000))

enum { WORD_MAX = 256, FIELDS_MAX = 16 };

/* What a member lost, by cause. */
static const char *const drops[] = {
	"malformed", "spoofed", "rate_dropped", "peers_dropped", "full_dropped", NULL,
};

/* ---- an answer ---- */

/* Bytes that are no printable ASCII, and "\", become "\xNN". Returns buf. */
static const char *word_of(const char *text, char buf[WORD_MAX])
{
	size_t used = 0;

	for (; *text && used + 5 < WORD_MAX; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c < 0x7f && c != '\\')
			buf[used++] = (char)c;
		else
			used += (size_t)snprintf(buf + used, WORD_MAX - used, "\\x%02x", c);
	}
	buf[used] = '\0';
	return buf;
}

static const char *text_of(const json_t *object, const char *key, char buf[WORD_MAX])
{
	return word_of(machines_text(object, key), buf);
}

static json_int_t number_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? n : 0;
}

/* The answer of a switch that was asked; NULL with err. */
static json_t *hear(struct cluster_client *client, const char *name, int64_t deadline, struct error *err)
{
	json_t *root = NULL;
	char *text;
	size_t len;

	if (cluster_client_receive(client, deadline, &text, &len, err))
		return NULL;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	if (!json_is_object(root)) {
		json_decref(root);
		root = NULL;
		error_set(err, EPROTO,
		          "the switch of the cluster \"%s\" gave no proper answer, or there is no libjansson.so.4",
		          name);
	}
	return root;
}

/* As machines_print_json(), in ASCII: there are terminals that obey what is beyond. */
static int print_json(json_t *root)
{
	int rc = root ? json_dumpf(root, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;

	json_decref(root);
	if (rc)
		return fail(EXIT_FAILED, "cannot write JSON: no memory, or libjansson.so.4 is not installed");
	putchar('\n');
	return EXIT_OK;
}

/* ---- ls ---- */

struct row {
	const char *name;
	struct cluster_client *client;
	json_t *answer; /* NULL: it does not answer */
	bool gone;      /* there is no switch */
};

static char *members_of(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "members");
	char *text = NULL, *longer, word[WORD_MAX];

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = text_of(json_array_get(list, i), "name", word);

		longer = text ? text_format("%s, %s", text, name) : strdup(name);
		free(text);
		text = longer;
	}
	return text;
}

static void print_rows(const struct row *rows, long n)
{
	int width = 4;

	for (long i = 0; i < n; i++)
		if (!rows[i].gone && (int)strlen(rows[i].name) > width)
			width = (int)strlen(rows[i].name);
	printf("%-*s  %8s  %s\n", width, "NAME", "PID", "MEMBERS");
	for (long i = 0; i < n; i++) {
		char *members = members_of(rows[i].answer);

		if (rows[i].answer)
			printf("%-*s  %8" JSON_INTEGER_FORMAT "  %s\n", width, rows[i].name,
			       number_of(rows[i].answer, "pid"), members ? members : "-");
		else if (!rows[i].gone)
			printf("%-*s  %8s  not answering\n", width, rows[i].name, "-");
		free(members);
	}
}

static int print_rows_json(struct row *rows, long n)
{
	json_t *root = json_object(), *list = json_array();

	for (long i = 0; i < n; i++) {
		const json_t *members = json_object_get(rows[i].answer, "members");
		json_t *entry, *names;

		if (rows[i].gone)
			continue;
		entry = json_object();
		json_object_set_new(entry, "name", json_string(rows[i].name));
		if (rows[i].answer) {
			names = json_array();
			for (size_t m = 0; m < json_array_size(members); m++)
				json_array_append_new(names,
				                      json_string(machines_text(json_array_get(members, m), "name")));
			json_object_set_new(entry, "pid", json_integer(number_of(rows[i].answer, "pid")));
			json_object_set_new(entry, "members", names);
		} else {
			json_object_set_new(entry, "state", json_string("not answering"));
		}
		json_array_append_new(list, entry);
	}
	json_object_set_new(root, "clusters", list);
	return print_json(root);
}

/* All are asked at once, so that one that hangs keeps the others from nothing. */
static int ls(bool json)
{
	int64_t deadline = timeline_now() + PATIENCE_NS;
	struct error err = { "" };
	char **names = NULL;
	long n = cluster_list(&names, &err);
	int status = EXIT_OK;
	struct row *rows;

	if (n < 0)
		return fail(EXIT_FAILED, "%s", err.text);
	rows = calloc((size_t)n + 1, sizeof *rows);
	if (!rows) {
		cluster_list_free(names, n);
		return fail(EXIT_FAILED, "no memory");
	}
	for (long i = 0; i < n; i++) {
		int rc = cluster_client_open(names[i], deadline, &rows[i].client, &err);

		rows[i].name = names[i];
		rows[i].gone = rc == -ESRCH || rc == -ENOENT;
	}
	for (long i = 0; i < n; i++) {
		if (rows[i].client)
			rows[i].answer = hear(rows[i].client, rows[i].name, deadline, &err);
		cluster_client_close(rows[i].client);
	}
	if (json)
		status = print_rows_json(rows, n);
	else
		print_rows(rows, n);
	for (long i = 0; i < n; i++)
		json_decref(rows[i].answer);
	free(rows);
	cluster_list_free(names, n);
	return status;
}

/* ---- show ---- */

/* "sent 5, to vxlan:7@...": what a part of an answer says that has no form of its own here. */
static void print_fields(json_t *object)
{
	const char *between = "";
	unsigned n = 0;

	for (void *i = json_object_iter(object); i && n < FIELDS_MAX; i = json_object_iter_next(object, i)) {
		const json_t *value = json_object_iter_value(i);
		char key[WORD_MAX], word[WORD_MAX];

		if (json_is_string(value))
			printf("%s%s %s", between, word_of(json_object_iter_key(i), key),
			       word_of(json_string_value(value), word));
		else if (json_is_integer(value))
			printf("%s%s %" JSON_INTEGER_FORMAT, between, word_of(json_object_iter_key(i), key),
			       json_integer_value(value));
		else
			continue;
		between = ", ";
		n++;
	}
	putchar('\n');
}

static json_int_t dropped(const json_t *member)
{
	json_int_t sum = 0, n;

	for (unsigned i = 0; drops[i]; i++) {
		n = number_of(member, drops[i]);
		sum = n > INT64_MAX - sum ? INT64_MAX : sum + n;
	}
	return sum;
}

static int width_of(const json_t *list, const char *key, int width)
{
	char word[WORD_MAX];

	for (size_t i = 0; i < json_array_size(list); i++) {
		int len = (int)strlen(text_of(json_array_get(list, i), key, word));

		if (len > width)
			width = len;
	}
	return width;
}

static void print_member(const json_t *member, int width, int mac_width)
{
	char name[WORD_MAX], mac[WORD_MAX], address[WORD_MAX], address6[WORD_MAX];
	const char *before = "         lost: ";

	printf("%-*s  %7" JSON_INTEGER_FORMAT "  %-*s  %10" JSON_INTEGER_FORMAT "  %13" JSON_INTEGER_FORMAT
	       "  %10" JSON_INTEGER_FORMAT "  %13" JSON_INTEGER_FORMAT "  %8" JSON_INTEGER_FORMAT "  %s%s%s\n",
	       width, text_of(member, "name", name), number_of(member, "pid"), mac_width, text_of(member, "mac", mac),
	       number_of(member, "rx_packets"), number_of(member, "rx_bytes"), number_of(member, "tx_packets"),
	       number_of(member, "tx_bytes"), dropped(member), text_of(member, "address", address),
	       json_is_string(json_object_get(member, "address6")) ? ", " : "",
	       json_is_string(json_object_get(member, "address6")) ? text_of(member, "address6", address6) : "");
	for (unsigned i = 0; drops[i]; i++) {
		if (!number_of(member, drops[i]))
			continue;
		printf("%s%s %" JSON_INTEGER_FORMAT, before, drops[i], number_of(member, drops[i]));
		before = ", ";
	}
	if (dropped(member))
		putchar('\n');
}

static void print_answer(const char *name, const json_t *answer)
{
	json_t *members = json_object_get(answer, "members"), *macs = json_object_get(answer, "macs");
	json_t *uplink = json_object_get(answer, "uplink");
	int width = width_of(members, "name", 6), mac_width = width_of(members, "mac", 17), port_width;
	char word[WORD_MAX], port[WORD_MAX], age[32];

	printf("cluster  %s\n", name);
	printf("pid      %" JSON_INTEGER_FORMAT "\n", number_of(answer, "pid"));
	printf("subnet   %s\n", text_of(answer, "subnet", word));
	if (json_is_string(json_object_get(answer, "subnet6")))
		printf("subnet6  %s\n", text_of(answer, "subnet6", word));
	printf("uplink   ");
	if (json_is_object(uplink))
		print_fields(uplink);
	else
		puts("none");
	printf("\n%-*s  %7s  %-*s  %10s  %13s  %10s  %13s  %8s  %s\n", width, "MEMBER", "PID", mac_width, "MAC", "SENT",
	       "BYTES", "RECEIVED", "BYTES", "DROPPED", "ADDRESS");
	for (size_t i = 0; i < json_array_size(members); i++)
		print_member(json_array_get(members, i), width, mac_width);
	if (!json_array_size(macs))
		return;
	mac_width = width_of(macs, "mac", 17);
	port_width = width_of(macs, "port", 6);
	printf("\n%-*s  %-*s  %s\n", mac_width, "MAC", port_width, "BEHIND", "SEEN");
	for (size_t i = 0; i < json_array_size(macs); i++) {
		const json_t *mac = json_array_get(macs, i);

		printf("%-*s  %-*s  %s ago\n", mac_width, text_of(mac, "mac", word), port_width,
		       text_of(mac, "port", port),
		       machines_duration((double)number_of(mac, "age_ms") / 1000, age, sizeof age));
	}
}

/* "a, b" of the clusters that have a switch; NULL: none has. */
static char *tell_others(int64_t deadline)
{
	char **names = NULL, *text = NULL, *longer;
	struct cluster_client *client;
	struct error err;
	long n = cluster_list(&names, &err);

	for (long i = 0; i < n; i++) {
		if (cluster_client_open(names[i], deadline, &client, &err))
			continue;
		cluster_client_close(client);
		longer = text ? text_format("%s, %s", text, names[i]) : strdup(names[i]);
		free(text);
		text = longer;
	}
	if (n >= 0)
		cluster_list_free(names, n);
	return text;
}

static int show(const char *name, bool json)
{
	int64_t deadline = timeline_now() + PATIENCE_NS;
	struct cluster_client *client;
	struct error err = { "" };
	json_t *answer = NULL;
	char *others;
	int rc = cluster_client_open(name, deadline, &client, &err);

	if (!rc)
		answer = hear(client, name, deadline, &err);
	cluster_client_close(client);
	if (rc == -ENOENT || rc == -ESRCH) {
		others = tell_others(deadline);
		if (others)
			fail(EXIT_FAILED, "%s; these have members: %s", err.text, others);
		else
			fail(EXIT_FAILED, "%s, nor is there another one; `capsa run --cluster NAME` joins one",
			     err.text);
		free(others);
		return EXIT_FAILED;
	}
	if (!answer)
		return fail(EXIT_FAILED, "%s", err.text);
	if (json)
		return print_json(answer);
	print_answer(name, answer);
	json_decref(answer);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	const char *words[2];
	int n_words, status;
	bool json;

	status = verb_words(&verb_cluster, argc, argv, words, &n_words, &json);
	if (status >= 0)
		return status;
	if (n_words == 1 && strcmp(words[0], "ls") == 0)
		return ls(json);
	if (n_words == 2 && strcmp(words[0], "show") == 0)
		return show(words[1], json);
	if (n_words == 0)
		return verb_usage(&verb_cluster, "cluster needs to know what to do");
	if (strcmp(words[0], "show") == 0)
		return verb_usage(&verb_cluster, "show needs the name of a cluster (capsa cluster ls)");
	if (strcmp(words[0], "ls") == 0)
		return verb_usage(&verb_cluster, "ls takes no argument");
	return verb_usage(&verb_cluster, "cluster knows ls and show");
}

const struct verb verb_cluster = {
	.name = "cluster",
	.arguments = "ls | show NAME  [--json]",
	.summary = "list networks of machines, show who is in one",
	.help = "\n"
		"  ls             the clusters that have a member, and who that is\n"
		"  show NAME      its members, what they sent, received and lost, and whose\n"
		"                 MAC addresses its switch has learned\n"
		"  --json         for programs\n"
		"\n"
		"A machine joins one by `capsa run --cluster NAME`, or by a devices entry of its file:\n"
		"capsa-cluster-switch(7).\n",
	.run = run,
};
