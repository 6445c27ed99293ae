/*
 * muxcat echo -u: what each of several peers sends comes back to it, once, as it was and in order, but
 * for what the system did not take.
 */
#include "sim.h"

#include "cmd.h"

enum { GRACE = 1000 };

static struct options options;

static void check_answered(uint64_t untold)
{
	uint64_t received = 0;
	uint64_t answered = 0;

	for (size_t i = 0; i < SIM_PEERS; i++) {
		received += options.discard ? 0 : sim_datagrams.peers[i].received;
		answered += sim_datagrams.peers[i].answered;
	}
	if (answered > received || answered + untold < received)
		sim_fail("%llu of %llu datagrams were answered", (unsigned long long)answered,
			(unsigned long long)received);
}

static void rest(void)
{
	if (sim_datagrams.socket->received != sim_datagrams.socket->arrived)
		sim_fail("a datagram is not received");
	check_answered(0);
}

void sim_echo_datagrams(void)
{
	bool memory = sim_faults.memory;
	bool own_fault = memory || sim_faults.transfer;

	sim_datagrams = (struct sim_datagrams){ .local = !sim_piece && sim_one_in(2) };
	options = (struct options){
		.backend = sim_backend,
		.edge = sim_edge,
		.address = { .scheme = ADDRESS_UNIXGRAM, .path = "@echo" },
		.threads = 1,
		.discard = sim_one_in(8),
	};
	sim_process.rest = rest;
	sim_process.signal_at = sim_one_in(2) ? UINT64_MAX : sim_now + sim_some(1000);
	sim_run(cmd_echo, &options);
	if (sim_process.signalled_at == UINT64_MAX && !own_fault)
		sim_fail("it ended by itself, with status %d", sim_process.status);
	if (sim_datagrams.socket && sim_process.signalled_at != UINT64_MAX &&
		sim_process.ended_at - sim_process.signalled_at < GRACE)
		check_answered(sim_piece ? 1 : 0); /* a completion that it had not taken */
}
