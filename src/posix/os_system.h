/* This system's types, for os.h. */
#ifndef MUXCAT_OS_SYSTEM_H
#define MUXCAT_OS_SYSTEM_H

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef int mux_fd;

/* This system's backends, the default first. */
#define MUX_BACKENDS &mux_epoll, &mux_poll, &mux_select

/* OpenSSL 3, as the system names it. */
#define OS_LIBCRYPTO "libcrypto.so.3"
#define OS_LIBSSL "libssl.so.3"

#endif
