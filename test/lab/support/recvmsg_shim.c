/*
 * Stands between a receiver and the kernel (LD_PRELOAD) and makes calls that the
 * receiver would not make, or interrupts it. The answers are the kernel's own, but
 * where a mode says otherwise. $RECVMSG_SHIM is the mode:
 *
 *   short     room for two records alone
 *   tiny      room for no record: from the tenth call on, for good
 *   plain     before each call one without MSG_SOCK_DEVMEM, which only looks
 *   signals   a timer's signals all the while, one before each call at least, whose
 *             handler restarts nothing
 *   EINTR     every other call fails with this, and is not made
 *   ENODEV    the tenth call fails with this, and is not made
 *
 * At the end it tells on stderr how many calls the mode concerned: "shim: COUNT".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SOCK_DEVMEM 0x2000000
#define RECORD_SPACE 40
#define TENTH 10

static ssize_t (*next)(int, struct msghdr *, int);
static const char *mode = "";
static atomic_int calls, concerned;

static int is(const char *name)
{
	return strcmp(mode, name) == 0;
}

static void on_alarm(int signal)
{
	(void)signal;
	concerned++;
}

static void start_timer(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

/* However fast the machine is, and however slow the timer. */
static void await_signal(void)
{
	int before = concerned;

	while (concerned == before)
		usleep(100);
}

static void report(void)
{
	fprintf(stderr, "shim: %d\n", concerned);
}

__attribute__((constructor)) static void start(void)
{
	const char *value = getenv("RECVMSG_SHIM");

	if (value)
		mode = value;
	next = (ssize_t (*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
	atexit(report);
}

static ssize_t fail(int error)
{
	concerned++;
	errno = error;
	return -1;
}

/* What a plain read finds: EFAULT where the data lies in device memory. */
static void look(int fd)
{
	char byte;

	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EFAULT)
		concerned++;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	int call;

	if (!(flags & SOCK_DEVMEM))
		return next(fd, message, flags);
	call = ++calls;

	if (call == 1 && is("signals"))
		start_timer();
	if (is("signals"))
		await_signal();
	if (is("EINTR") && call % 2)
		return fail(EINTR);
	if (is("ENODEV") && call == TENTH)
		return fail(ENODEV);
	if (is("plain"))
		look(fd);
	if (is("short") && message->msg_controllen > 2 * RECORD_SPACE) {
		concerned++;
		message->msg_controllen = 2 * RECORD_SPACE;
	}
	if (is("tiny") && call >= TENTH) {
		concerned++;
		message->msg_controllen = RECORD_SPACE - 1;
	}
	return next(fd, message, flags);
}
