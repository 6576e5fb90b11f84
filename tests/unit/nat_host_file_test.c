/* SPDX-License-Identifier: MIT */
/*
 * nat_host_file_test.c - proves that a file of the host's is followed wherever it lies: links to what is not there yet,
 * links of links, files and folders that go and come back, files that are written in their place.
 */
#include "tests/unit/nat_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/net-nat/upstream.h"

static struct nat_guest guest;
static struct upstreams *upstreams;
static char folder[64], path[128];

static const char *at(const char *name)
{
	static char text[4][160];
	static unsigned n;
	char *out = text[n++ % 4];

	snprintf(out, sizeof text[0], "%s/%s", folder, name);
	return out;
}

static void put(const char *name, const char *server)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	dprintf(fd, "nameserver %s\n", server);
	close(fd);
}

static void begin(void)
{
	snprintf(folder, sizeof folder, "/tmp/capsa-host-file-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mkdir(at("etc"), 0755), 0);
	snprintf(path, sizeof path, "%s/etc/resolv.conf", folder);
	nat_begin(&guest, "");
}

static void follow(void)
{
	assert_int_equal(upstreams_new(guest.nat, path, &upstreams), 0);
}

static void end(void)
{
	char command[128];

	upstreams_free(upstreams);
	nat_end(&guest);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

static void check_server(const char *expected)
{
	char text[NET_ADDRESS_TEXT];
	struct net_endpoint server;

	while (nat_turn(&guest))
		;
	server = upstreams_get(upstreams, 0);
	assert_string_equal(net_address_text(&server.address, text), expected);
	assert_int_equal(upstreams_count(upstreams), 1);
}

static void a_file_that_is_written_or_replaced_is_read_again(void **state)
{
	(void)state;
	begin();
	put("etc/resolv.conf", "192.0.2.1");
	follow();
	check_server("192.0.2.1");
	put("etc/resolv.conf", "192.0.2.2");
	check_server("192.0.2.2");
	put("etc/new", "192.0.2.3");
	assert_int_equal(rename(at("etc/new"), path), 0);
	check_server("192.0.2.3");
	assert_int_equal(unlink(path), 0);
	check_server("127.0.0.1");
	put("etc/resolv.conf", "192.0.2.4");
	check_server("192.0.2.4");
	end();
}

static void the_end_of_a_link_may_go_and_come_back(void **state)
{
	(void)state;
	begin();
	assert_int_equal(mkdir(at("run"), 0755), 0);
	put("run/stub.conf", "192.0.2.1");
	assert_int_equal(symlink("../run/stub.conf", path), 0);
	follow();
	check_server("192.0.2.1");
	put("run/stub.conf", "192.0.2.2");
	check_server("192.0.2.2");
	assert_int_equal(unlink(at("run/stub.conf")), 0);
	check_server("127.0.0.1");
	put("run/stub.conf", "192.0.2.3");
	check_server("192.0.2.3");
	end();
}

static void the_folder_that_a_link_leads_to_may_come_later_and_go(void **state)
{
	(void)state;
	begin();
	assert_int_equal(symlink("../run/resolve/stub.conf", path), 0);
	follow();
	check_server("127.0.0.1");
	assert_int_equal(mkdir(at("run"), 0755), 0);
	check_server("127.0.0.1");
	assert_int_equal(mkdir(at("run/resolve"), 0755), 0);
	check_server("127.0.0.1");
	put("run/resolve/stub.conf", "192.0.2.1");
	check_server("192.0.2.1");
	assert_int_equal(unlink(at("run/resolve/stub.conf")), 0);
	assert_int_equal(rmdir(at("run/resolve")), 0);
	check_server("127.0.0.1");
	assert_int_equal(mkdir(at("run/resolve"), 0755), 0);
	put("run/resolve/stub.conf", "192.0.2.2");
	check_server("192.0.2.2");
	end();
}

static void each_link_of_a_chain_may_lead_elsewhere(void **state)
{
	(void)state;
	begin();
	assert_int_equal(mkdir(at("a"), 0755), 0);
	assert_int_equal(mkdir(at("b"), 0755), 0);
	put("b/one", "192.0.2.1");
	put("b/two", "192.0.2.2");
	assert_int_equal(symlink("../b/one", at("a/link")), 0);
	assert_int_equal(symlink(at("a/link"), path), 0);
	follow();
	check_server("192.0.2.1");
	assert_int_equal(symlink("../b/two", at("a/new")), 0);
	assert_int_equal(rename(at("a/new"), at("a/link")), 0);
	check_server("192.0.2.2");
	put("b/two", "192.0.2.3");
	check_server("192.0.2.3");
	end();
}

static void a_circle_of_links_is_no_file(void **state)
{
	(void)state;
	begin();
	assert_int_equal(symlink("other", path), 0);
	assert_int_equal(symlink("resolv.conf", at("etc/other")), 0);
	follow();
	check_server("127.0.0.1");
	put("etc/new", "192.0.2.1");
	assert_int_equal(rename(at("etc/new"), at("etc/other")), 0);
	check_server("192.0.2.1");
	end();
}

/* As a container's is, which is mounted over the image's: its folder is another one than it seems. */
static void a_file_that_lies_in_another_folder_is_seen_to_be_written(void **state)
{
	int fd;

	(void)state;
	begin();
	put("etc/resolv.conf", "192.0.2.1");
	assert_int_equal(mkdir(at("elsewhere"), 0755), 0);
	assert_int_equal(link(path, at("elsewhere/same")), 0);
	follow();
	check_server("192.0.2.1");
	fd = open(at("elsewhere/same"), O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	dprintf(fd, "nameserver 192.0.2.2\n");
	close(fd);
	check_server("192.0.2.2");
	end();
}

static void what_is_no_regular_file_is_none(void **state)
{
	(void)state;
	begin();
	assert_int_equal(mkfifo(path, 0600), 0);
	follow();
	check_server("127.0.0.1");
	end();
}

static void a_zone_is_kept_and_link_local_without_one_is_no_server(void **state)
{
	struct net_endpoint server;
	int fd;

	(void)state;
	begin();
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	dprintf(fd, "nameserver fe80::1\nnameserver fe80::2%%lo\nnameserver fe80::3%%7\nnameserver fe80::4%%nosuch0\n"
	            "nameserver 192.0.2.1\nnameserver 192.0.2.1\n");
	close(fd);
	follow();
	assert_int_equal(upstreams_count(upstreams), 4);
	server = upstreams_get(upstreams, 0);
	assert_int_equal(server.address.s6_addr[15], 2);
	assert_int_equal(upstreams_zone(upstreams, &server), 1); /* lo is the first of every namespace */
	server = upstreams_get(upstreams, 1);
	assert_int_equal(upstreams_zone(upstreams, &server), 7);
	server = upstreams_get(upstreams, 2);
	assert_int_equal(upstreams_zone(upstreams, &server), 0);
	server = upstreams_get(upstreams, 3);
	assert_int_equal(upstreams_zone(upstreams, &server), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_is_written_or_replaced_is_read_again),
		cmocka_unit_test(the_end_of_a_link_may_go_and_come_back),
		cmocka_unit_test(the_folder_that_a_link_leads_to_may_come_later_and_go),
		cmocka_unit_test(each_link_of_a_chain_may_lead_elsewhere),
		cmocka_unit_test(a_circle_of_links_is_no_file),
		cmocka_unit_test(a_file_that_lies_in_another_folder_is_seen_to_be_written),
		cmocka_unit_test(what_is_no_regular_file_is_none),
		cmocka_unit_test(a_zone_is_kept_and_link_local_without_one_is_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
