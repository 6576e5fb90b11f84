# SPDX-License-Identifier: MIT
# The translation, which cluster-switch has in it as well.
NAT_SOURCES = \
	plugins/net-nat/nat.c plugins/net-nat/nat.h \
	plugins/net-nat/arrive.c \
	plugins/net-nat/dns.c plugins/net-nat/dns.h plugins/net-nat/dns-private.h \
	plugins/net-nat/dns-hosts.c \
	plugins/net-nat/dns-members.c \
	plugins/net-nat/dns-message.c plugins/net-nat/dns-message.h \
	plugins/net-nat/dns-stream.c \
	plugins/net-nat/echo.c plugins/net-nat/echo.h \
	plugins/net-nat/error-queue.c plugins/net-nat/error-queue.h \
	plugins/net-nat/flow.c plugins/net-nat/flow.h \
	plugins/net-nat/flow-log.c plugins/net-nat/flow-log.h \
	plugins/net-nat/forward.c plugins/net-nat/forward.h \
	plugins/net-nat/fragment.c plugins/net-nat/fragment.h \
	plugins/net-nat/gateway.c plugins/net-nat/gateway.h \
	plugins/net-nat/host-address.c plugins/net-nat/host-address.h \
	plugins/net-nat/host-file.c plugins/net-nat/host-file.h \
	plugins/net-nat/icmp-error.c plugins/net-nat/icmp-error.h \
	plugins/net-nat/info.c plugins/net-nat/info.h \
	plugins/net-nat/names.c plugins/net-nat/names.h \
	plugins/net-nat/neighbours.c \
	plugins/net-nat/options.c plugins/net-nat/options.h \
	plugins/net-nat/policy.c plugins/net-nat/policy.h plugins/net-nat/policy-rule.h \
	plugins/net-nat/policy-read.c \
	plugins/net-nat/name-check.c plugins/net-nat/name-check.h \
	plugins/net-nat/hop-limit.h \
	plugins/net-nat/rate.c plugins/net-nat/rate.h \
	plugins/net-nat/send.c plugins/net-nat/send.h \
	plugins/net-nat/sockets.c plugins/net-nat/sockets.h \
	plugins/net-nat/tcp.c plugins/net-nat/tcp.h plugins/net-nat/tcp-flow.h \
	plugins/net-nat/tcp-ahead.c \
	plugins/net-nat/tcp-end.c \
	plugins/net-nat/tcp-kept.c \
	plugins/net-nat/tcp-open.c \
	plugins/net-nat/tcp-receive.c \
	plugins/net-nat/tcp-segment.c plugins/net-nat/tcp-segment.h \
	plugins/net-nat/tcp-state.c plugins/net-nat/tcp-state.h \
	plugins/net-nat/tcp-transmit.c \
	plugins/net-nat/tcp-unacked.c plugins/net-nat/tcp-unacked.h \
	plugins/net-nat/timeout.c plugins/net-nat/timeout.h \
	plugins/net-nat/udp.c plugins/net-nat/udp.h plugins/net-nat/udp-flow.h \
	plugins/net-nat/udp-publish.c \
	plugins/net-nat/upstream.c plugins/net-nat/upstream.h

NET_NAT_SOURCES = \
	plugins/net-nat/keys.c plugins/net-nat/keys.h \
	plugins/net-nat/net-nat.c

noinst_LTLIBRARIES += plugins/net-nat/libnat.la
plugins_net_nat_libnat_la_SOURCES = $(NAT_SOURCES)
plugins_net_nat_libnat_la_LIBADD = plugins/net/libnet.la -lresolv

plugin_LTLIBRARIES += plugins/net-nat/net-nat.la
plugins_net_nat_net_nat_la_SOURCES = $(NET_NAT_SOURCES)
plugins_net_nat_net_nat_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_net_nat_net_nat_la_LIBADD = plugins/net-nat/libnat.la

# Its tests are the guest's side of the card: tests/unit/nat_guest.h, linked with the plugin's own objects.
NET_NAT_TEST_WITH = tests/unit/libnet-nat-test.a core/config/libconfig.a $(UNIT_LIBS) $(CONFIG_LIBS) -lresolv
if HAVE_CMOCKA
check_LIBRARIES += tests/unit/libnet-nat-test.a
NET_NAT_TESTS = \
	tests/unit/nat_arrive_test \
	tests/unit/nat_card_test \
	tests/unit/nat_fragment_test \
	tests/unit/nat_gateway_test \
	tests/unit/net_nic_test
check_PROGRAMS += $(NET_NAT_TESTS)
TESTS += $(NET_NAT_TESTS)
endif
tests_unit_libnet_nat_test_a_SOURCES = tests/unit/nat_guest.c tests/unit/nat_guest.h tests/unit/nat_host.c tests/unit/nat_host.h \
	tests/unit/descriptors.h tests/unit/iovec_copy.h \
	$(NET_SOURCES) $(NAT_SOURCES) $(NET_NAT_SOURCES)
tests_unit_libnet_nat_test_a_CFLAGS = $(UNIT_CFLAGS)

tests_unit_nat_card_test_SOURCES = tests/unit/nat_card_test.c
tests_unit_nat_card_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_card_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_arrive_test_SOURCES = tests/unit/nat_arrive_test.c
tests_unit_nat_arrive_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_arrive_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_fragment_test_SOURCES = tests/unit/nat_fragment_test.c
tests_unit_nat_fragment_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_fragment_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_gateway_test_SOURCES = tests/unit/nat_gateway_test.c
tests_unit_nat_gateway_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_gateway_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_net_nic_test_SOURCES = tests/unit/net_nic_test.c
tests_unit_net_nic_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_net_nic_test_LDADD = $(NET_NAT_TEST_WITH)

# Flows, UDP, ping, published ports: in a network namespace of their own (tests/unit/nat_namespace.h).
if HAVE_CMOCKA
NET_NAT_FLOW_TESTS = \
	tests/unit/nat_options_test \
	tests/unit/nat_flow_test \
	tests/unit/nat_udp_test \
	tests/unit/nat_echo_test \
	tests/unit/nat_forward_test \
	tests/unit/nat_rate_test
check_PROGRAMS += $(NET_NAT_FLOW_TESTS)
TESTS += $(NET_NAT_FLOW_TESTS)
endif
tests_unit_nat_options_test_SOURCES = tests/unit/nat_options_test.c
tests_unit_nat_options_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_options_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_flow_test_SOURCES = tests/unit/nat_flow_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_flow_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_flow_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_udp_test_SOURCES = tests/unit/nat_udp_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_udp_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_udp_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_echo_test_SOURCES = tests/unit/nat_echo_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_echo_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_echo_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_forward_test_SOURCES = tests/unit/nat_forward_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_forward_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_forward_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_rate_test_SOURCES = tests/unit/nat_rate_test.c
tests_unit_nat_rate_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_rate_test_LDADD = $(NET_NAT_TEST_WITH)

# Names, where upstreams fail and guests are sly.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/nat_dns_failover_test tests/unit/nat_dnsmasq_test tests/unit/nat_host_file_test
TESTS += tests/unit/nat_dns_failover_test tests/unit/nat_dnsmasq_test tests/unit/nat_host_file_test
endif
tests_unit_nat_dnsmasq_test_SOURCES = tests/unit/nat_dnsmasq_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_dnsmasq_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_dnsmasq_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_host_file_test_SOURCES = tests/unit/nat_host_file_test.c
tests_unit_nat_host_file_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_host_file_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_dns_failover_test_SOURCES = tests/unit/nat_dns_failover_test.c
tests_unit_nat_dns_failover_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_dns_failover_test_LDADD = $(NET_NAT_TEST_WITH)

# TCP: over a small one of the guest's (tests/unit/nat_tcp_guest.h).
NAT_TCP_CASE = tests/unit/nat_tcp_guest.c tests/unit/nat_tcp_guest.h tests/unit/nat_tcp_case.c tests/unit/nat_tcp_case.h
if HAVE_CMOCKA
NET_NAT_TCP_TESTS = \
	tests/unit/nat_tcp_test \
	tests/unit/nat_tcp_loss_test \
	tests/unit/nat_tcp_close_test \
	tests/unit/nat_tcp_kinds_test
check_PROGRAMS += $(NET_NAT_TCP_TESTS)
TESTS += $(NET_NAT_TCP_TESTS)
endif
tests_unit_nat_tcp_test_SOURCES = tests/unit/nat_tcp_test.c $(NAT_TCP_CASE) tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_tcp_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_tcp_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_tcp_loss_test_SOURCES = tests/unit/nat_tcp_loss_test.c $(NAT_TCP_CASE)
tests_unit_nat_tcp_loss_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_tcp_loss_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_tcp_close_test_SOURCES = tests/unit/nat_tcp_close_test.c $(NAT_TCP_CASE)
tests_unit_nat_tcp_close_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_tcp_close_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_tcp_kinds_test_SOURCES = tests/unit/nat_tcp_kinds_test.c $(NAT_TCP_CASE)
tests_unit_nat_tcp_kinds_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_tcp_kinds_test_LDADD = $(NET_NAT_TEST_WITH)

# The policy, and what it knows of names and of the host.
if HAVE_CMOCKA
NET_NAT_POLICY_TESTS = \
	tests/unit/nat_policy_test \
	tests/unit/nat_policy_read_test \
	tests/unit/nat_names_test \
	tests/unit/nat_name_check_test \
	tests/unit/nat_host_address_test \
	tests/unit/nat_bypass_test \
	tests/unit/nat_info_test
check_PROGRAMS += $(NET_NAT_POLICY_TESTS)
TESTS += $(NET_NAT_POLICY_TESTS)
endif
tests_unit_nat_policy_test_SOURCES = tests/unit/nat_policy_test.c
tests_unit_nat_policy_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_policy_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_policy_read_test_SOURCES = tests/unit/nat_policy_read_test.c
tests_unit_nat_policy_read_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_policy_read_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_names_test_SOURCES = tests/unit/nat_names_test.c
tests_unit_nat_names_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_names_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_name_check_test_SOURCES = tests/unit/nat_name_check_test.c
tests_unit_nat_name_check_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_name_check_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_host_address_test_SOURCES = tests/unit/nat_host_address_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_host_address_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_host_address_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_info_test_SOURCES = tests/unit/nat_info_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_info_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_info_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_bypass_test_SOURCES = tests/unit/nat_bypass_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_bypass_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_bypass_test_LDADD = $(NET_NAT_TEST_WITH)

# Messages of the name server, without it.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/nat_dns_message_test
TESTS += tests/unit/nat_dns_message_test
endif
tests_unit_nat_dns_message_test_SOURCES = tests/unit/nat_dns_message_test.c
tests_unit_nat_dns_message_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_dns_message_test_LDADD = $(NET_NAT_TEST_WITH)

# Who waits for room; and very many.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/nat_turns_test tests/unit/nat_many_test
TESTS += tests/unit/nat_turns_test tests/unit/nat_many_test
endif
tests_unit_nat_many_test_SOURCES = tests/unit/nat_many_test.c
tests_unit_nat_many_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_many_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_turns_test_SOURCES = tests/unit/nat_turns_test.c $(NAT_TCP_CASE)
tests_unit_nat_turns_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_turns_test_LDADD = $(NET_NAT_TEST_WITH)

# How far packets go, and who says that they went no further: with routers that the test plays.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/nat_hop_limit_test
TESTS += tests/unit/nat_hop_limit_test
endif
tests_unit_nat_hop_limit_test_SOURCES = tests/unit/nat_hop_limit_test.c tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_unit_nat_hop_limit_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_hop_limit_test_LDADD = $(NET_NAT_TEST_WITH)

# DNS as the guest and the upstreams see it, case by case (tests/unit/nat_dns_case.h).
NAT_DNS_CASE = tests/unit/nat_dns_case.c tests/unit/nat_dns_case.h tests/unit/nat_namespace.c tests/unit/nat_namespace.h
if HAVE_CMOCKA
NET_NAT_DNS_TESTS = \
	tests/unit/nat_dns_test \
	tests/unit/nat_dns_stream_test \
	tests/unit/nat_upstream_test
check_PROGRAMS += $(NET_NAT_DNS_TESTS)
TESTS += $(NET_NAT_DNS_TESTS)
endif
tests_unit_nat_dns_test_SOURCES = tests/unit/nat_dns_test.c $(NAT_DNS_CASE)
tests_unit_nat_dns_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_dns_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_dns_stream_test_SOURCES = tests/unit/nat_dns_stream_test.c $(NAT_DNS_CASE)
tests_unit_nat_dns_stream_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_dns_stream_test_LDADD = $(NET_NAT_TEST_WITH)
tests_unit_nat_upstream_test_SOURCES = tests/unit/nat_upstream_test.c $(NAT_DNS_CASE)
tests_unit_nat_upstream_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_upstream_test_LDADD = $(NET_NAT_TEST_WITH)

# Where the gateway has neighbours, over a card of the test's own.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/nat_neighbours_test
TESTS += tests/unit/nat_neighbours_test
endif
tests_unit_nat_neighbours_test_SOURCES = tests/unit/nat_neighbours_test.c $(NAT_DNS_CASE)
tests_unit_nat_neighbours_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_nat_neighbours_test_LDADD = $(NET_NAT_TEST_WITH)
