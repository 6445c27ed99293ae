/* This system's types, for os.h; what Windows' C library lacks. */
#ifndef MUXCAT_OS_SYSTEM_H
#define MUXCAT_OS_SYSTEM_H

#define WIN32_LEAN_AND_MEAN /* without wincrypt.h, which takes names of OpenSSL's */
#include <winsock2.h>

#include <afunix.h>
#include <ws2tcpip.h>

/* A SOCKET or a HANDLE; both are small numbers, and what is invalid is -1. */
typedef intptr_t mux_fd;

/* This system's backends, the default first. */
#define MUX_BACKENDS &mux_iocp, &mux_poll, &mux_select

/* OpenSSL 3, as its builds for 64 bits name it. */
#define OS_LIBCRYPTO "libcrypto-3-x64.dll"
#define OS_LIBSSL "libssl-3-x64.dll"

/* Winsock's would tell of urgent data too, which no receive takes. */
#undef POLLIN
#define POLLIN POLLRDNORM

/* Codes that the C library has no number for. */
#define EHOSTDOWN WSAEHOSTDOWN

/* open(2): not inherited; as it is, with no second end of line. */
#define O_CLOEXEC (_O_NOINHERIT | _O_BINARY)

/* lstat(2): links are few, and followed. */
#define lstat stat

/* memrchr(3) of the GNU library. */
void *memrchr(const void *memory, int byte, size_t length);

/* A Winsock or Win32 error code as a negative errno value, or as what os_error knows. */
int os_windows_error(unsigned long code);

/* os_poll by Winsock's select. */
int os_select(struct pollfd *fds, size_t count, int timeout);

/* The console as a stream of UTF-8; called by os_read and os_write. */
bool os_is_console(mux_fd fd);
ssize_t os_console_read(mux_fd fd, void *into, size_t size);
ssize_t os_console_write(mux_fd fd, const void *from, size_t length);

#endif
