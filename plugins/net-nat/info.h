/* SPDX-License-Identifier: MIT */
/*
 * info.h - what `capsa info` shows of a network: the guest's addresses, published ports with the ports that they got,
 * rules with what they decided, flows, lines about flows. In the plugin's info(), on the main thread.
 */
#ifndef CAPSA_NAT_INFO_H
#define CAPSA_NAT_INFO_H

#define INFO_FLOWS_MAX 1000u /* that are listed; the number of all is told as well */

/* `self`: struct nat. */
void nat_info(void *self);

#endif
