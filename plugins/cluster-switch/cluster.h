/* SPDX-License-Identifier: MIT */
/*
 * cluster.h - machines on one Ethernet segment without root: what the rooms of the plugin have in common, and their
 * map.
 *
 * PROCESSES. A cluster is a name, and a folder of the user's run-time folder (CLUSTER_FOLDER/NAME, 0700). Whose machine
 * has a card in it is a member; one process more is the switch, which nobody has to set up:
 *
 *   capsa vm1 ── plugin: card ═ ring ═╗                      ╔═ ring ═ card :plugin ── capsa vm2
 *       └─ guardian (asleep)          ╚═══ the switch ═══════╝          guardian (asleep) ─┘
 *
 * Each member starts a guardian, which sleeps in flock(2) until the folder's lock is free: then there is no switch, and
 * it forks one, which has the lock from then on, and sleeps again. So the first member brings the switch up, and one
 * that is killed has a successor as soon as the kernel has closed its files. Members see its socket appear (inotify),
 * connect, say who they are and go on. It ends with its last member.
 *
 * WHO MAPS WHAT. For each port the switch makes one memfd, sealed, with two rings (ring.h). Mapped by the switch and by
 * that port's member, by nobody else. A frame is copied three times: by the sender's process out of its guest's memory
 * into its own ring, by the switch from there into the receiver's, by the receiver's process into its guest's memory.
 * No process maps another's guest, no member what another one may write.
 *
 * WHO TRUSTS WHOM. Members are processes of the same user, but may be taken over by their guests: the switch believes
 * nothing that stands in a ring, checks who a frame says it is from, and how much a member sends. A member believes
 * nothing that stands in its ring either, as it comes from other guests. What a guest may begin towards others (policy,
 * NAT) is judged in its own member's process, where net-nat's is, too.
 *
 * THE ROOMS, the member's:   cluster-switch.c  the plugin: life cycle     options.h  its keys
 *                            card.h      between the card, the ring and the gateway
 *                            member.h    joins the cluster, and again when the switch has gone
 *                            guardian.h  see above
 *                            ../net-nat/ the gateway in it: DHCP, names, NAT and its policy
 *                            cluster-gateway.h  joins that to the card    conversation.h  its policy between members
 *            the switch's:   serve.h     its process: socket, ports, loop, who waits for whom
 *                            bridge.h    ports and frames between them: no process, no descriptor
 *                            fdb.h       which address is behind which port
 *                            guard.h     which addresses a port may say it is
 *                            lease.h     which address a machine gets
 *                            vxlan.h     the way to other hosts
 *            of both:        ring.h  protocol.h  schedule.h  ../net/segment.h (offloads that one side lacks)
 */
#ifndef CAPSA_CLUSTER_CLUSTER_H
#define CAPSA_CLUSTER_CLUSTER_H

#define CLUSTER_FOLDER "clusters"          /* capsa_host.shared_path() of it */
#define CLUSTER_SOCKET "switch.sock"       /* in the cluster's folder, as the next three */
#define CLUSTER_LOCK "lock"                /* flock(2): whoever has it is the switch */
#define CLUSTER_LEASES "leases"            /* lease.h; stays when the last member has gone, as does the lock */
#define CLUSTER_LOG "switch.log"           /* the switch's own last words: what went wrong in it */
#define CLUSTER_SUBNET "10.0.3.0/24"       /* where nobody says another; net-nat's is the one before it */
#define CLUSTER_SUBNET6 "fd00:ca:b5b::/64" /* the same */
#define CLUSTER_MEMBERS_MAX 256u
#define CLUSTER_NAME_MAX 63u /* of clusters and members: as machines' names, [a-zA-Z0-9][a-zA-Z0-9_.-]* */
#define CLUSTER_PEERS_MAX 64u

#endif
