/* A bare relay on loopback: what any server that receives and sends a message pays to this kernel, and nothing more.
 * The yardstick of npm run perf. What comes from port B goes to port A, everything else to B; nothing is looked at.
 *
 *   relay PORT A B one      recvfrom and sendto, one datagram at a time
 *   relay PORT A B batch    recvmmsg and sendmmsg, up to 64
 *   relay PORT A B tcp      for each connection that comes another to B, on 127.0.0.10; if A is B, each gets its own back
 *
 * Ends with its parent, or after LIFETIME_SEC. Compiled by contestants.ts. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, DATAGRAM_BYTES = 2304, BUFFER_BYTES = 4 << 20, LIFETIME_SEC = 600 };
enum { MAX_FD = 1024, READY = 64, CHUNK_BYTES = 65536 };

static char payload[BATCH][DATAGRAM_BYTES];
static struct sockaddr_in source[BATCH], a, b;

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static struct sockaddr_in *target_of(const struct sockaddr_in *from) { return from->sin_port == b.sin_port ? &a : &b; }

static void relay_one(int fd) {
  for (;;) {
    socklen_t size = sizeof source[0];
    ssize_t length = recvfrom(fd, payload[0], DATAGRAM_BYTES, 0, (struct sockaddr *)&source[0], &size);
    if (length >= 0) sendto(fd, payload[0], length, 0, (struct sockaddr *)target_of(&source[0]), sizeof a);
  }
}

static void relay_batches(int fd) {
  static struct mmsghdr messages[BATCH];
  static struct iovec spans[BATCH];
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      spans[i] = (struct iovec){payload[i], DATAGRAM_BYTES};
      messages[i].msg_hdr = (struct msghdr){
          .msg_name = &source[i], .msg_namelen = sizeof source[i], .msg_iov = &spans[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
      spans[i].iov_len = messages[i].msg_len;
      messages[i].msg_hdr.msg_name = target_of(&source[i]);
    }
    for (int sent = 0; sent < count;) {
      int done = sendmmsg(fd, messages + sent, count - sent, 0);
      sent += done > 0 ? done : 1;  // a datagram that the kernel refuses is lost
    }
  }
}

static int no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/* Sends wait for the peer: the load reads whatever it is sent. */
static void send_all(int fd, const char *bytes, ssize_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) return;
    if (sent > 0) bytes += sent, length -= sent;
  }
}

static void relay_streams(const struct sockaddr_in *own, int is_echo) {
  static int partner[MAX_FD];
  static char chunk[CHUNK_BYTES];
  struct epoll_event event = {.events = EPOLLIN}, ready[READY];
  struct sockaddr_in agent = b;
  agent.sin_addr.s_addr = inet_addr("127.0.0.10");
  int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (const struct sockaddr *)own, sizeof *own) != 0 || listen(listener, 64) != 0) {
    perror("relay: listen");
    exit(1);
  }
  event.data.fd = listener;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int count = epoll_wait(epoll, ready, READY, -1);
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        int near = no_delay(accept(listener, NULL, NULL));
        int far = is_echo ? near : no_delay(socket(AF_INET, SOCK_STREAM, 0));
        if (near < 0 || far < 0 || near >= MAX_FD || far >= MAX_FD) exit(1);
        if (!is_echo && connect(far, (struct sockaddr *)&agent, sizeof agent) != 0) exit(1);
        partner[near] = far;
        partner[far] = near;
        event.data.fd = near;
        epoll_ctl(epoll, EPOLL_CTL_ADD, near, &event);
        event.data.fd = far;
        if (!is_echo) epoll_ctl(epoll, EPOLL_CTL_ADD, far, &event);
        continue;
      }
      ssize_t length = recv(fd, chunk, CHUNK_BYTES, MSG_DONTWAIT);
      if (length > 0) send_all(partner[fd], chunk, length);
      else if (length == 0 || errno != EAGAIN) epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: relay PORT A B one|batch|tcp\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(LIFETIME_SEC);
  struct sockaddr_in own = loopback(argv[1]);
  a = loopback(argv[2]);
  b = loopback(argv[3]);
  if (strcmp(argv[4], "tcp") == 0) relay_streams(&own, a.sin_port == b.sin_port);
  int bytes = BUFFER_BYTES, fd = socket(AF_INET, SOCK_DGRAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0) {
    perror("relay: bind");
    return 1;
  }
  if (strcmp(argv[4], "batch") == 0) relay_batches(fd);
  relay_one(fd);
}
