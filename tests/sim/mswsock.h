/*
 * As much of Windows as the completion backend (src/windows/mux_iocp*.c) uses, over the simulated
 * sockets: see sim_winsock.c. Its error codes are errno values here.
 */
#ifndef MUXCAT_SIM_MSWSOCK_H
#define MUXCAT_SIM_MSWSOCK_H

#include "os.h"

#include <errno.h>
#include <netinet/tcp.h>

typedef void *HANDLE;
typedef int BOOL;
typedef unsigned long DWORD;
typedef unsigned long ULONG;
typedef uintptr_t ULONG_PTR;
typedef uintptr_t SOCKET;
typedef sa_family_t ADDRESS_FAMILY;

enum { FALSE, TRUE };

typedef struct {
	int error;
	size_t bytes;
} OVERLAPPED;

typedef struct {
	ULONG_PTR lpCompletionKey;
	OVERLAPPED *lpOverlapped;
} OVERLAPPED_ENTRY;

typedef struct {
	ULONG len;
	char *buf;
} WSABUF;

typedef struct {
	int iAddressFamily;
	int iSocketType;
	DWORD dwServiceFlags1;
} WSAPROTOCOL_INFOW;

typedef struct {
	int number;
} GUID;

typedef BOOL (*LPFN_ACCEPTEX)(SOCKET listener, SOCKET accepted, void *addresses, DWORD size,
	DWORD local, DWORD remote, DWORD *n, OVERLAPPED *overlapped);
typedef BOOL (*LPFN_CONNECTEX)(SOCKET fd, const struct sockaddr *to, int length, void *data,
	DWORD size, DWORD *n, OVERLAPPED *overlapped);

#define WSAID_ACCEPTEX                                                                             \
	{                                                                                          \
		1                                                                                  \
	}
#define WSAID_CONNECTEX                                                                            \
	{                                                                                          \
		2                                                                                  \
	}
#define INVALID_HANDLE_VALUE ((HANDLE)(intptr_t)-1)
#define INFINITE 0xffffffffUL

enum {
	WSA_IO_PENDING = 997,
	WAIT_TIMEOUT = 258,
	WSAEINVAL = EINVAL,
	SIO_GET_EXTENSION_FUNCTION_POINTER = 1,
	SO_PROTOCOL_INFOW = 0x2005,
	SO_UPDATE_ACCEPT_CONTEXT = 0x700b,
	SO_UPDATE_CONNECT_CONTEXT = 0x7010,
	XP1_IFS_HANDLES = 0x20000,
	FILE_SKIP_COMPLETION_PORT_ON_SUCCESS = 1,
	FILE_SKIP_SET_EVENT_ON_HANDLE = 2,
	FIONBIO = 0x5421,
};

int WSAGetLastError(void);
DWORD GetLastError(void);
int os_windows_error(unsigned long code);

HANDLE CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads);
BOOL GetQueuedCompletionStatusEx(HANDLE port, OVERLAPPED_ENTRY *entries, ULONG room, ULONG *count,
	DWORD timeout, BOOL alertable);
BOOL PostQueuedCompletionStatus(HANDLE port, DWORD n, ULONG_PTR key, OVERLAPPED *overlapped);
BOOL CloseHandle(HANDLE port);
BOOL SetFileCompletionNotificationModes(HANDLE file, unsigned char modes);
BOOL CancelIoEx(HANDLE file, OVERLAPPED *overlapped);

int WSARecv(SOCKET fd, WSABUF *buffers, DWORD count, DWORD *n, DWORD *flags, OVERLAPPED *overlapped,
	void *routine);
int WSARecvFrom(SOCKET fd, WSABUF *buffers, DWORD count, DWORD *n, DWORD *flags,
	struct sockaddr *from, socklen_t *from_length, OVERLAPPED *overlapped, void *routine);
int WSASendTo(SOCKET fd, WSABUF *buffers, DWORD count, DWORD *n, DWORD flags,
	const struct sockaddr *to, int to_length, OVERLAPPED *overlapped, void *routine);
BOOL WSAGetOverlappedResult(SOCKET fd, OVERLAPPED *overlapped, DWORD *n, BOOL wait, DWORD *flags);
int WSAIoctl(SOCKET fd, DWORD code, void *in, DWORD in_size, void *out, DWORD out_size, DWORD *n,
	OVERLAPPED *overlapped, void *routine);

/* By names that are not the C library's. */
#define getsockopt sim_getsockopt
#define setsockopt sim_setsockopt
#define getpeername sim_getpeername
#define bind sim_bind
#define ioctlsocket sim_ioctlsocket
int sim_getsockopt(SOCKET fd, int level, int name, void *value, int *length);
int sim_setsockopt(SOCKET fd, int level, int name, const void *value, int length);
int sim_getpeername(SOCKET fd, struct sockaddr *address, socklen_t *length);
int sim_bind(SOCKET fd, const struct sockaddr *address, int length);
int sim_ioctlsocket(SOCKET fd, long command, unsigned long *argument);

#endif
