# SPDX-License-Identifier: MIT
# Guests that mean harm: a driver in a unit test.
if HAVE_CMOCKA
check_PROGRAMS += tests/hostile/driver_test
TESTS += tests/hostile/driver_test
endif
tests_hostile_driver_test_SOURCES = tests/hostile/driver_test.c
tests_hostile_driver_test_CFLAGS = $(UNIT_CFLAGS)
tests_hostile_driver_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_hostile_driver_test_LDADD = $(VIRTIO_TEST_WITH)
