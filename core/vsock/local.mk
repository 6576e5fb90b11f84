# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/vsock/libvsock.a
core_vsock_libvsock_a_SOURCES = \
	core/vsock/backlog.c core/vsock/backlog.h \
	core/vsock/connection.c \
	core/vsock/device.c \
	core/vsock/host.c \
	core/vsock/transfer.c \
	core/vsock/vsock.c core/vsock/vsock.h core/vsock/vsock-private.h

VSOCK_TEST_WITH = tests/unit/libvirtio-test.a core/vsock/libvsock.a core/virtio/libvirtio.a core/machine/libmachine.a \
	$(UNIT_LIBS)
if HAVE_CMOCKA
VSOCK_TESTS = tests/unit/vsock_backlog_test tests/unit/vsock_connection_test tests/unit/vsock_host_test \
	tests/unit/vsock_transfer_test
check_PROGRAMS += $(VSOCK_TESTS)
TESTS += $(VSOCK_TESTS)
endif
tests_unit_vsock_backlog_test_SOURCES = tests/unit/vsock_backlog_test.c
tests_unit_vsock_backlog_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_vsock_backlog_test_LDADD = core/vsock/libvsock.a $(UNIT_LIBS)
tests_unit_vsock_connection_test_SOURCES = tests/unit/vsock_connection_test.c tests/unit/vsock_guest.c tests/unit/vsock_guest.h tests/unit/descriptors.h
tests_unit_vsock_connection_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_vsock_connection_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_unit_vsock_connection_test_LDADD = $(VSOCK_TEST_WITH)
tests_unit_vsock_host_test_SOURCES = tests/unit/vsock_host_test.c tests/unit/vsock_guest.c tests/unit/vsock_guest.h tests/unit/descriptors.h
tests_unit_vsock_host_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_vsock_host_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_unit_vsock_host_test_LDADD = $(VSOCK_TEST_WITH)
tests_unit_vsock_transfer_test_SOURCES = tests/unit/vsock_transfer_test.c tests/unit/vsock_guest.c tests/unit/vsock_guest.h tests/unit/descriptors.h
tests_unit_vsock_transfer_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_vsock_transfer_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_unit_vsock_transfer_test_LDADD = $(VSOCK_TEST_WITH)
