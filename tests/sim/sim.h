/*
 * The simulation: everything that a system may do to a program, by the numbers of a seed. The same seed
 * does the same again.
 *
 * A socket has a peer at its other end, which sends, reads, half-closes and resets when it pleases. What
 * it sends can be told from any other bytes by their position, so nothing is lost, doubled or mixed
 * unseen.
 */
#ifndef MUXCAT_SIM_H
#define MUXCAT_SIM_H

#include "connection.h"
#include "mux_backend.h"
#include "options.h"

/* Before the first run, and behind the last. */
void sim_begin(void);
void sim_end(void);

/*
 * One run of what `seed` says, by its numbers; behind the bytes of an input (fuzzing), where there is one.
 * Returns if everything holds.
 */
void sim_run_seed(uint64_t seed, const uint8_t *input, size_t size);

/* ---- chance ---- */

void sim_seed(uint64_t seed);
uint64_t sim_below(uint64_t limit); /* 0 to limit - 1 */
#define SIM_ONE_OF(array) ((array)[sim_below(sizeof(array) / sizeof((array)[0]))])
bool sim_one_in(uint64_t n);

/* Small more often than big: 1 to limit. */
uint64_t sim_some(uint64_t limit);

/* Something is wrong: tells of the seed and ends the program. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- what may happen ---- */

struct sim_faults {
	bool reset;    /* peers reset */
	bool transfer; /* calls fail with the other errors that their manual pages name */
	bool memory;   /* allocations fail */
	bool jumps;    /* the program is not run for seconds */
};
extern struct sim_faults sim_faults;

extern uint64_t sim_now; /* milliseconds */

/* The event mechanism of this run, for mux_new. */
extern const char *sim_backend;
extern bool sim_edge;
extern size_t sim_piece; /* bytes that may have gone, and the program is not told yet */

/* ---- sockets ---- */

enum { SIM_SOCKETS = 128 };

struct sim_socket;

/* The program has sent these bytes, which are the next behind `position`. */
typedef void sim_sent(
	struct sim_socket *socket, uint64_t position, const unsigned char *data, size_t n);

/* A connection has been accepted: its peer is to be set up. */
typedef void sim_came(struct sim_socket *socket);

struct sim_socket {
	void *owner;
	sim_sent *sent; /* NULL: nobody looks */

	/* what the peer sends: the caller sets these */
	uint64_t source;           /* names its bytes */
	const unsigned char *text; /* those bytes, to_send of them; NULL: any that the source has */
	uint64_t to_send;
	bool sends_end; /* and then its end; else it stays silent */
	uint64_t arrived;
	uint64_t received; /* by the program */
	uint64_t moved_at; /* when a byte moved last, either way */
	bool end_arrived;

	/* what the program sends */
	size_t room; /* in its send buffer */
	uint64_t written;
	uint64_t taken; /* by the peer, which has them for good */
	bool shut;
	uint64_t received_at_end; /* so much of the peer's bytes, when it was shut */
	bool end_taken;
	bool deaf; /* the peer takes nothing */

	struct sim_socket *joined; /* the other end, if it is the program's, too (sim_wire.c) */
	bool cut;                  /* nothing more arrives of what that writes */

	/* a listener's */
	sim_came *came;
	unsigned to_come; /* connections */
	unsigned waiting; /* that came and were not accepted */

	bool open; /* the program's descriptor */
	bool is_waker;
	bool is_listener;
	bool is_datagram; /* what is counted are datagrams */
	bool reset;       /* the connection is no more */
	int error;        /* that the program has yet to be told, 0 none */
	int told;         /* the error that it was told, and the connection ended with */
	int told_here; /* and one that is no end, for want of memory; completions may come the other way round */
	bool told_broken; /* and EPIPE behind it */
	bool lost;        /* the program has closed it so that the peer was reset */
	bool linger_reset;
	uint64_t acts_at; /* when the peer does something next, UINT64_MAX never */
	unsigned sends_at_most, takes_at_most;

	struct mux_io *io; /* that watches it, or NULL */
	unsigned interest;
	bool edge;
	unsigned edges; /* not told yet */
};

void sim_sockets_clear(void);

/* A new connection: its descriptor, and the socket to set up. */
mux_fd sim_open(struct sim_socket **socket);
struct sim_socket *sim_socket(mux_fd fd);
bool sim_is_open(mux_fd fd);

/* ---- datagrams: one socket, several peers that send to it ---- */

enum { SIM_PEERS = 4 };

struct sim_datagrams {
	bool local; /* Unix sockets, of which nothing tells when they have room */
	bool drops; /* the program may leave some out, and tries again where there was no room */
	struct sim_socket *socket; /* NULL: not opened yet */
	struct sim_peer {
		uint64_t received; /* by the program */
		uint64_t answered; /* so far it has an answer, or the system did not take it */
		uint64_t answers;
		uint64_t refused;  /* by the system, for good */
		uint64_t too_long; /* that came, too */
	} peers[SIM_PEERS];
};
extern struct sim_datagrams sim_datagrams;

void sim_datagrams_open(struct sim_socket *socket);
void sim_peer_address(size_t peer, struct os_address *address);
size_t sim_peer_at(const struct os_address *address);

/* ---- what the calls and the peers share ---- */

/* What the program has done may be the peer's turn. */
void sim_wake(struct sim_socket *socket);

/* Joins two connections, whose peers they are for each other. */
void sim_join(mux_fd one, mux_fd other);

/* For sim_sockets.c and sim_os.c, of those that may be joined. */
void sim_cut(struct sim_socket *socket);
uint64_t sim_takeable(const struct sim_socket *socket); /* how far its peer may have taken it */
bool sim_is_refused(const struct sim_socket *socket);   /* it has written to one that is closed */
void sim_wire_ended(const struct sim_socket *socket);
void sim_reset(struct sim_socket *socket, int error);

/* An error that the program is told once, and the connection is at its end. Returns it. */
int sim_tell(struct sim_socket *socket, int error);

/* One of those that wait is accepted, as `socket`. */
void sim_connected(struct sim_socket *socket, struct sim_socket *listener);

/* Who will come to the listener that the program opens next. */
void sim_expect_clients(unsigned count, sim_came *came);

/* How many have come to a listener and are not accepted. */
unsigned sim_waiting(void);

/* The bytes that a source sends from a position on. */
void sim_bytes(uint64_t source, uint64_t position, void *into, size_t n);

/* For a `sent`: fails unless these are the bytes of `source` from `position` on. */
void sim_expect(uint64_t source, uint64_t position, const unsigned char *data, size_t n);

/* For mux_sim.c. What the socket is ready for; an edge for it. */
unsigned sim_readiness(const struct sim_socket *socket);

/* All peers whose time has come do something. When one does next: UINT64_MAX never. */
void sim_act(void);
uint64_t sim_next_act(void);

/* After the loop: the peers take and send until none can any more. */
void sim_act_to_the_end(void);

/* What the system does when a process has ended: how many it has left open. */
size_t sim_close_all(void);

/* The sockets that are watched, for the event mechanism: how many. */
size_t sim_watched(struct sim_socket **into, size_t limit);

/* For the event mechanisms. A wait begins: time may jump. */
void sim_begin_wait(void);

/* Nothing can be told: time passes to what happens next, or `until`. */
void sim_pass(uint64_t until);

/* Something was told: nobody rests. */
void sim_stir(void);

/* For sim_sockets_clear: no completion is owed to anybody. */
void sim_winsock_clear(void);

/* ---- memory ---- */

/* Blocks that have not been freed. */
extern size_t sim_blocks;

/* From here on they are a process's; it has ended, and what it has left is freed. */
void sim_memory_begin(void);
void sim_memory_end(void);

/* ---- a command as a process of its own ---- */

struct sim_process {
	/* Nobody will act any more: is all as it should be? The command is stopped then. */
	void (*rest)(void);

	/* report_accepted and report_closed: a connection is the command's, and what became of it. */
	void (*accepted)(const struct connection *connection);
	void (*closed)(const struct connection *connection, const char *why);

	/* "N records dropped for a slow subscriber", and then it is closed. */
	uint64_t dropped;

	uint64_t signal_at;    /* when it is stopped by SIGTERM; UINT64_MAX: at rest */
	uint64_t signalled_at; /* UINT64_MAX: it was not */
	uint64_t ended_at;
	int signal; /* that it died by; 0: it ended with `status` */
	int status;
};
extern struct sim_process sim_process;

/* Runs the command to its end. What it leaves open is closed and what it has not freed is freed. */
void sim_run(int (*command)(const struct options *options), const struct options *options);

/* Has nothing moved for so long, as far as the program can know? */
bool sim_is_idle(const struct sim_socket *socket, uint64_t timeout);

/* Was the program told this error? */
bool sim_has_told(const struct sim_socket *socket, int error);

/* Was it told what it says became of a connection? */
bool sim_was_told(const struct sim_socket *socket, const char *why);

/* For the event mechanisms: true, a signal has come. */
bool sim_signal(void);

/* ---- scenarios: one run of a seed each ---- */

void sim_relay(void);
void sim_hub(void);
void sim_echo(void);
void sim_broker(void);
void sim_echo_datagrams(void);
void sim_peers(void);

/* TLS: before all runs, false if there is none; and behind them. */
bool sim_tls_begin(void);
void sim_tls_end(void);
void sim_tls(void);

#endif
