/*
 * A system that does not exist, for os.h: sim_os.c and mux_sim.c are its calls and its event mechanism,
 * sim_sockets.c what is at their other ends. The types are those of the system that it runs on.
 */
#ifndef MUXCAT_OS_SYSTEM_H
#define MUXCAT_OS_SYSTEM_H

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef intptr_t mux_fd;

/* Readiness, and the completions of src/windows. */
extern const struct mux_backend mux_sim;
#define MUX_BACKENDS &mux_sim, &mux_iocp

/* The one thing that is real. */
#define OS_LIBCRYPTO "libcrypto.so.3"
#define OS_LIBSSL "libssl.so.3"

#endif
