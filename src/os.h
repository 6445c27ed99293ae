/*
 * All that differs between systems and is no event mechanism: descriptors, single non-blocking
 * calls on them, the clock, threads' wake-ups, signals, and how stdin and stdout are taken over.
 *
 * Every function that can fail returns a negative errno value; none sets errno for its caller.
 */
#ifndef MUXCAT_OS_H
#define MUXCAT_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* posix/ or windows/: the socket types, mux_fd (signed, negative is none) and MUX_BACKENDS. */
#include "os_system.h"

/* A socket address with its length; family 0 (AF_UNSPEC) and length 0 mean none. */
struct os_address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	} u;
};

/* How a descriptor is read and written without ever blocking. */
enum os_kind {
	OS_SOCKET,      /* per-call flags: MSG_DONTWAIT, MSG_NOSIGNAL */
	OS_NONBLOCKING, /* O_NONBLOCK is set on a description that is ours alone */
	OS_SHARED,      /* a blocking description that others hold too: only after readiness */
	OS_FILE,        /* a regular file or a device that is always ready */
	OS_BLOCKING,    /* nothing tells when it is ready: a thread has to wait in the call */
};

/*
 * First of all, before anything is opened. Puts /dev/null, for reading, where descriptors 0 to 2
 * are closed, so that no socket becomes stdout: a closed stdin is then at its end, a closed stdout
 * fails (EBADF). Linux: nothing that it would run could gain privileges from here on. Windows: makes
 * Winsock ready and the standard streams binary.
 */
void os_start(void);

/* A socket, non-blocking and not inherited. Windows: a datagram's ICMP errors are no errors of it. */
mux_fd os_socket(int family, int type);

/* Why the last listen, setsockopt... of this thread failed, as a negative errno value. */
int os_socket_error(void);

/*
 * bind(2): 0, or a negative errno. `mode`, unless it is 0, are the permissions (chmod(2)) that a Unix
 * socket's file has from its first moment on, whatever the umask is. That is the process's, so this
 * comes before its threads. Windows: no such permissions, see os_has_modes.
 */
int os_bind(mux_fd fd, const struct os_address *at, unsigned mode);
bool os_has_modes(void);

/*
 * poll(2), with `timeout` in milliseconds or -1. The number of descriptors that are ready, 0 after
 * a signal too, or a negative errno.
 */
int os_poll(struct pollfd *fds, size_t count, int timeout);

/*
 * getaddrinfo(3): 0, or an error for os_error, which is no errno when it is the look-up's own. May
 * block for long.
 */
int os_look_up(const char *host, const char *service, const struct addrinfo *hints,
	struct addrinfo **list);

/*
 * One try to move bytes, but of OS_BLOCKING, which may take for ever. Returns the count, 0 at end of file (reads), -EAGAIN when it would block.
 * EINTR is retried. `size` and `length` are bytes. A write to an OS_SHARED pipe moves PIPE_BUF
 * bytes at most, which pipe(7) promises not to block once poll(2) has called it writable.
 */
ssize_t os_read(mux_fd fd, enum os_kind kind, void *into, size_t size);
ssize_t os_write(mux_fd fd, enum os_kind kind, const void *from, size_t length);

/* A part of a regular file, as it lies in the system's memory. */
struct os_pages {
	void *address;
	size_t size;
	mux_fd fd;    /* the file, once more */
	uint64_t end; /* where it ends in the file */
};

/*
 * Map what follows in a regular file, 2 MiB of it at most, and move on behind it: *data, and the
 * number of bytes there. -ENOTSUP: read it instead, as too little is left, it has holes, or it cannot
 * be mapped. os_unmap ends it.
 */
ssize_t os_map_next(mux_fd fd, struct os_pages *pages, const unsigned char **data);
void os_unmap(struct os_pages *pages);

/* Does the file still reach as far? If not, what was behind its end reads as zeros or not at all. */
bool os_pages_are_whole(const struct os_pages *pages);

/* Let a pipe hold 1 MiB, if it holds less and the system lets. Nothing for what is no pipe. */
void os_enlarge_pipe(mux_fd fd);

/*
 * One datagram; `from` (may be NULL) gets the sender, with length 0 if it has no name; `to` may be
 * NULL when the socket is connected. -EMSGSIZE: it was longer than `size`, and is lost.
 */
ssize_t os_recvfrom(mux_fd fd, void *into, size_t size, struct os_address *from);
ssize_t os_sendto(mux_fd fd, const void *data, size_t length, const struct os_address *to);

/*
 * One of several datagrams: `length` bytes at `data`, which has room for `size`, from or to `peer`. A
 * length of -EMSGSIZE: it was longer than that.
 */
struct os_datagram {
	struct os_address peer;
	unsigned char *data;
	size_t size;
	ssize_t length;
};

/*
 * Receive up to `count`, of OS_DATAGRAMS at most, or send so many, by one call where the system has it
 * (recvmmsg(2)). How many, at least one; or a negative errno, which is the first's.
 */
enum { OS_DATAGRAMS = 16 };
ssize_t os_recv_datagrams(mux_fd fd, struct os_datagram *into, size_t count);
ssize_t os_send_datagrams(mux_fd fd, const struct os_datagram *from, size_t count);

/*
 * Accept one connection; returns the new descriptor, which is non-blocking and close-on-exec.
 * Errors that belong to the connection and not to the listener (accept(2), "Error handling") are
 * returned as -ECONNABORTED.
 */
mux_fd os_accept(mux_fd fd, struct os_address *peer);

/* Start a connect: 0, -EINPROGRESS, or what failed. os_connect_result tells how it ended. */
int os_connect(mux_fd fd, const struct os_address *to);
int os_connect_result(mux_fd fd);

/* Two descriptors of the same file or socket. */
bool os_is_same(mux_fd a, mux_fd b);

/* Send the end of the stream (TCP's FIN); a socket only. */
int os_shutdown_write(mux_fd fd);

/*
 * For a peer that has sent its end and may have left: from now on ask it, twice a minute, whether
 * it is still there (TCP's keep-alive; one that has closed answers with a reset once its FIN_WAIT2
 * is over, tcp_fin_timeout in tcp(7)). os_peer_is_gone tells what is known.
 */
void os_keep_asking(mux_fd fd);
bool os_peer_is_gone(mux_fd fd);

void os_close(mux_fd fd, enum os_kind kind);

/*
 * Let the close of a TCP socket reset the connection instead of ending it (SO_LINGER in socket(7)).
 */
void os_reset_on_close(mux_fd fd, bool reset);

/*
 * Bytes given to the kernel that the peer has not acknowledged (Unix: not read) and still may; 0 if
 * that is unknown.
 */
size_t os_unsent(mux_fd fd);

/* Milliseconds on a clock that never jumps. */
uint64_t os_now(void);

/* A descriptor that wakes a waiting loop. os_wake may be called by any thread or signal handler. */
struct os_waker {
	mux_fd read_end;
	mux_fd write_end;
};
int os_waker_open(struct os_waker *waker);
void os_waker_close(struct os_waker *waker);
void os_wake(const struct os_waker *waker);

/*
 * stdin and stdout, taken over without changing a description that others may share: sockets are
 * used with per-call flags, pipes and terminals are opened anew for writing, the rest stays as it
 * is. Returns a new descriptor, the caller's to close, and its kind.
 */
mux_fd os_stdin(enum os_kind *kind);
mux_fd os_stdout(enum os_kind *kind);

/*
 * Give up descriptor `number` (0 or 1) itself, so that whoever is at its other end sees it closed;
 * /dev/null takes its place, or a socket would.
 */
void os_release_standard(int number);

/* Is descriptor `number`, 0 to 2, a terminal (a console)? */
bool os_is_terminal(int number);

/* Is there a terminal (a console) on which somebody can be asked, whatever stdin is? */
bool os_has_terminal(void);

/* Raises the limit of open descriptors to what the system allows. */
void os_raise_descriptor_limit(void);

/*
 * Catch SIGINT, SIGTERM and SIGHUP, unless they are ignored already (Windows: Ctrl-C, Ctrl-Break,
 * and that the console closes): `caught(signal)` runs inside the handler. A second signal ends the
 * process at once. SIGPIPE is ignored from here on.
 */
void os_catch_signals(void (*caught)(int signal));

/* From here on those signals end the process by themselves. */
void os_release_signals(void);

/*
 * exit(3). Windows: at once, since a thread may sit in a read, and to end threads one by one while
 * the process goes is what its DLLs do not always survive.
 */
_Noreturn void os_exit(int status);

/* The same with threads left behind, whose libraries must not be cleaned up under them (_exit(2)). */
_Noreturn void os_exit_at_once(int status);

/* End the process by `signal`, as if it had never been caught. Does not return. */
_Noreturn void os_die_by(int signal);

/*
 * For a program whose stdout nobody reads any more: is it to end by SIGPIPE, silently? Not where
 * that is ignored, nor on Windows, which has none.
 */
bool os_pipe_kills(void);
_Noreturn void os_die_by_pipe(void);

/* ---- what is loaded while it runs ---- */

/*
 * A shared library, kept until the process ends (dlopen(3)), and a function or variable of it. NULL:
 * `wrong`, valid until the next call, says why. Windows looks beside the program and in its own
 * folder, never in the current one.
 */
void *os_library(const char *name, const char **wrong);
void *os_library_symbol(void *library, const char *name, const char **wrong);

/*
 * Gives `each` the certificates (DER) that the system's own store trusts, where it has one that
 * OpenSSL does not know: Windows.
 */
typedef void os_certificate(void *user, const unsigned char *der, size_t length);
void os_trusted_certificates(os_certificate *each, void *user);

/* ---- what it gives up ---- */

enum os_confinement {
	OS_NO_PROGRAMS, /* neither runs a program nor touches another process or the system's set-up */
	OS_NO_FILES, /* writes to no file that is not open yet, makes, renames and changes none */
};

/*
 * From now on, for every thread and for good. 0, or a negative errno: this system or build cannot.
 * Windows: nothing.
 */
int os_confine(enum os_confinement confinement);

/* ---- files ---- */

/* rename(2): `to` is replaced in one step. False, with errno set. */
bool os_replace_file(const char *from, const char *to);

/* What tells the file of a bound Unix socket from any other; false if `path` is none. */
bool os_identify_socket_file(const char *path, uint64_t *device, uint64_t *inode);

/* The system's words for an error (a negative errno value, or os_look_up's). Valid until the next call. */
const char *os_error(int error);

#endif
