# SPDX-License-Identifier: MIT
# Fuzz targets. Each is built with a driver of ours, and on demand (README.md) with libFuzzer.
EXTRA_DIST += tests/fuzz/README.md

FUZZ_DRIVER = tests/fuzz/fuzz-driver.c tests/fuzz/fuzz.h
FUZZ_PACKETS = tests/fuzz/packets.c tests/fuzz/packets.h
FUZZ_TESTS = \
	tests/fuzz/dhcp_fuzz \
	tests/fuzz/dhcp6_fuzz \
	tests/fuzz/neighbour_fuzz \
	tests/fuzz/packet_fuzz
check_PROGRAMS += $(FUZZ_TESTS)
TESTS += $(FUZZ_TESTS)

tests_fuzz_dhcp_fuzz_SOURCES = tests/fuzz/dhcp_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_dhcp_fuzz_LDADD = plugins/net/libnet.la
tests_fuzz_dhcp6_fuzz_SOURCES = tests/fuzz/dhcp6_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_dhcp6_fuzz_LDADD = plugins/net/libnet.la
tests_fuzz_neighbour_fuzz_SOURCES = tests/fuzz/neighbour_fuzz.c $(FUZZ_DRIVER)
tests_fuzz_neighbour_fuzz_LDADD = plugins/net/libnet.la
tests_fuzz_packet_fuzz_SOURCES = tests/fuzz/packet_fuzz.c $(FUZZ_DRIVER) $(FUZZ_PACKETS)
tests_fuzz_packet_fuzz_LDADD = plugins/net/libnet.la

EXTRA_PROGRAMS += \
	tests/fuzz/dhcp_libfuzzer \
	tests/fuzz/dhcp6_libfuzzer \
	tests/fuzz/neighbour_libfuzzer \
	tests/fuzz/packet_libfuzzer
LIBFUZZER = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_dhcp_libfuzzer_SOURCES = tests/fuzz/dhcp_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_dhcp_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_dhcp_libfuzzer_LDADD = plugins/net/libnet.la
tests_fuzz_dhcp6_libfuzzer_SOURCES = tests/fuzz/dhcp6_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_dhcp6_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_dhcp6_libfuzzer_LDADD = plugins/net/libnet.la
tests_fuzz_neighbour_libfuzzer_SOURCES = tests/fuzz/neighbour_fuzz.c
tests_fuzz_neighbour_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_neighbour_libfuzzer_LDADD = plugins/net/libnet.la
tests_fuzz_packet_libfuzzer_SOURCES = tests/fuzz/packet_fuzz.c $(FUZZ_PACKETS)
tests_fuzz_packet_libfuzzer_LDFLAGS = $(LIBFUZZER)
tests_fuzz_packet_libfuzzer_LDADD = plugins/net/libnet.la
