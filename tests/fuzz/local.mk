# SPDX-License-Identifier: MIT
# Fuzz targets. Each is built with a driver of ours, and on demand (README.md) with libFuzzer.
EXTRA_DIST += tests/fuzz/README.md

FUZZ_DRIVER = tests/fuzz/fuzz-driver.c tests/fuzz/fuzz.h
FUZZ_PACKETS = tests/fuzz/packets.c tests/fuzz/packets.h
FUZZ_TESTS = \
	tests/fuzz/bridge_fuzz \
	tests/fuzz/dhcp_fuzz \
	tests/fuzz/dhcp6_fuzz \
	tests/fuzz/neighbour_fuzz \
	tests/fuzz/packet_fuzz \
	tests/fuzz/segment_fuzz
if HAVE_CMOCKA
FUZZ_TESTS += tests/fuzz/dns_fuzz tests/fuzz/frame_fuzz
endif
check_PROGRAMS += $(FUZZ_TESTS)
TESTS += $(FUZZ_TESTS)

tests_fuzz_bridge_fuzz_SOURCES = tests/fuzz/bridge_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_bridge_fuzz_LDADD = plugins/cluster-switch/libcluster.la
tests_fuzz_dhcp_fuzz_SOURCES = tests/fuzz/dhcp_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_dhcp_fuzz_LDADD = plugins/net/libnet.la
tests_fuzz_dhcp6_fuzz_SOURCES = tests/fuzz/dhcp6_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_dhcp6_fuzz_LDADD = plugins/net/libnet.la
tests_fuzz_neighbour_fuzz_SOURCES = tests/fuzz/neighbour_fuzz.c $(FUZZ_DRIVER)
tests_fuzz_neighbour_fuzz_LDADD = plugins/net/libnet.la
tests_fuzz_packet_fuzz_SOURCES = tests/fuzz/packet_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_packet_fuzz_LDADD = plugins/net/libnet.la
tests_fuzz_segment_fuzz_SOURCES = tests/fuzz/segment_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_segment_fuzz_LDADD = plugins/net/libnet.la
tests_fuzz_dns_fuzz_SOURCES = tests/fuzz/dns_fuzz.c $(FUZZ_DRIVER)
tests_fuzz_dns_fuzz_CFLAGS = $(UNIT_CFLAGS)
tests_fuzz_dns_fuzz_LDADD = $(NET_NAT_TEST_WITH)
# The whole plugin, by the harness of its unit tests.
tests_fuzz_frame_fuzz_SOURCES = tests/fuzz/frame_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_frame_fuzz_CFLAGS = $(UNIT_CFLAGS)
tests_fuzz_frame_fuzz_LDADD = $(NET_NAT_TEST_WITH)

EXTRA_PROGRAMS += \
	tests/fuzz/bridge_libfuzzer \
	tests/fuzz/dhcp_libfuzzer \
	tests/fuzz/dhcp6_libfuzzer \
	tests/fuzz/dns_libfuzzer \
	tests/fuzz/frame_libfuzzer \
	tests/fuzz/neighbour_libfuzzer \
	tests/fuzz/packet_libfuzzer \
	tests/fuzz/segment_libfuzzer
LIBFUZZER = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_bridge_libfuzzer_SOURCES = tests/fuzz/bridge_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_bridge_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_bridge_libfuzzer_LDADD = plugins/cluster-switch/libcluster.la
tests_fuzz_dhcp_libfuzzer_SOURCES = tests/fuzz/dhcp_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_dhcp_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_dhcp_libfuzzer_LDADD = plugins/net/libnet.la
tests_fuzz_dhcp6_libfuzzer_SOURCES = tests/fuzz/dhcp6_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_dhcp6_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_dhcp6_libfuzzer_LDADD = plugins/net/libnet.la
tests_fuzz_dns_libfuzzer_SOURCES = tests/fuzz/dns_fuzz.c
tests_fuzz_dns_libfuzzer_CFLAGS = $(UNIT_CFLAGS)
tests_fuzz_dns_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_dns_libfuzzer_LDADD = $(NET_NAT_TEST_WITH)
tests_fuzz_neighbour_libfuzzer_SOURCES = tests/fuzz/neighbour_fuzz.c
tests_fuzz_neighbour_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_neighbour_libfuzzer_LDADD = plugins/net/libnet.la
tests_fuzz_packet_libfuzzer_SOURCES = tests/fuzz/packet_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_packet_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_packet_libfuzzer_LDADD = plugins/net/libnet.la
tests_fuzz_segment_libfuzzer_SOURCES = tests/fuzz/segment_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_segment_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_segment_libfuzzer_LDADD = plugins/net/libnet.la
tests_fuzz_frame_libfuzzer_SOURCES = tests/fuzz/frame_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_frame_libfuzzer_CFLAGS = $(UNIT_CFLAGS)
tests_fuzz_frame_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_frame_libfuzzer_LDADD = $(NET_NAT_TEST_WITH)
