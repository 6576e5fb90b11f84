# SPDX-License-Identifier: MIT
# What the network plugins share: linked into each of them.
NET_SOURCES = \
	plugins/cause.h \
	plugins/net/address.c plugins/net/address.h \
	plugins/net/arp.c plugins/net/arp.h \
	plugins/net/checksum.c plugins/net/checksum.h \
	plugins/net/dhcp.c plugins/net/dhcp.h \
	plugins/net/dhcp6.c plugins/net/dhcp6.h \
	plugins/net/hash.c plugins/net/hash.h \
	plugins/net/neighbour.c plugins/net/neighbour.h \
	plugins/net/nic.c plugins/net/nic.h plugins/net/nic-private.h \
	plugins/net/nic-control.c plugins/net/nic-receive.c \
	plugins/net/packet.c plugins/net/packet.h \
	plugins/net/segment.c plugins/net/segment.h

noinst_LTLIBRARIES += plugins/net/libnet.la
plugins_net_libnet_la_SOURCES = $(NET_SOURCES)
plugins_net_libnet_la_LIBADD = -lresolv

if HAVE_CMOCKA
NET_TESTS = \
	tests/unit/net_dhcp_test \
	tests/unit/net_hash_test \
	tests/unit/net_neighbour_test \
	tests/unit/net_packet_test \
	tests/unit/net_segment_header_test \
	tests/unit/net_segment_test
check_PROGRAMS += $(NET_TESTS)
TESTS += $(NET_TESTS)
endif
tests_unit_net_packet_test_SOURCES = tests/unit/net_packet_test.c
tests_unit_net_packet_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_net_packet_test_LDADD = plugins/net/libnet.la $(UNIT_LIBS)
tests_unit_net_dhcp_test_SOURCES = tests/unit/net_dhcp_test.c
tests_unit_net_dhcp_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_net_dhcp_test_LDADD = plugins/net/libnet.la $(UNIT_LIBS)
tests_unit_net_neighbour_test_SOURCES = tests/unit/net_neighbour_test.c
tests_unit_net_neighbour_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_net_neighbour_test_LDADD = plugins/net/libnet.la $(UNIT_LIBS)
tests_unit_net_hash_test_SOURCES = tests/unit/net_hash_test.c
tests_unit_net_hash_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_net_hash_test_LDADD = plugins/net/libnet.la $(UNIT_LIBS)
tests_unit_net_segment_test_SOURCES = tests/unit/net_segment_test.c tests/unit/net_segment_frame.h
tests_unit_net_segment_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_net_segment_test_LDADD = plugins/net/libnet.la $(UNIT_LIBS)
tests_unit_net_segment_header_test_SOURCES = tests/unit/net_segment_header_test.c tests/unit/net_segment_frame.h
tests_unit_net_segment_header_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_net_segment_header_test_LDADD = plugins/net/libnet.la $(UNIT_LIBS)
