#include "iqk/base/pool.h"

#include <pthread.h>
#include <sched.h>
#if defined(__APPLE__)
#include <mach/mach.h>
#else
#include <semaphore.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <type_traits>

// How it works. Each worker has a mailbox. A call writes the address of its job, which lives on its stack,
// into the mailboxes of free workers, then takes tiles itself until none are left. At the end it takes back
// what was not collected: a worker that is still asleep, or whose core is busy elsewhere, is not waited for.
// A worker that did collect the job is waited for until it has reported that it is through with it.

namespace iqk {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpinTime = std::chrono::microseconds(40);  // of a worker without a job, before it sleeps
constexpr int kSpinsBeforeYield = 1000;                    // of a caller that waits for its last workers
constexpr size_t kCacheLine = 128;                         // two lines of 64, which x86 prefetches as a pair
constexpr size_t kStackBytes = size_t{2} << 20;            // musl's default would be 128 KB

void pause_cpu() {
#if defined(__x86_64__)
  asm volatile("pause");
#elif defined(__aarch64__)
  asm volatile("isb");  // `yield` does nothing on most cores
#endif
}

// Unlike with a mutex and a condition variable, the one who wakes never waits for the sleeper.
class Semaphore {
#if defined(__APPLE__)  // has no unnamed POSIX semaphores
 public:
  bool reset() { return semaphore_create(mach_task_self(), &handle_, SYNC_POLICY_FIFO, 0) == KERN_SUCCESS; }
  void post() { semaphore_signal(handle_); }
  void wait() {
    while (semaphore_wait(handle_) == KERN_ABORTED) continue;  // by a signal
  }

 private:
  semaphore_t handle_{};
#else
 public:
  bool reset() { return sem_init(&handle_, 0, 0) == 0; }
  void post() { sem_post(&handle_); }
  void wait() {
    while (sem_wait(&handle_) != 0) continue;  // by a signal
  }

 private:
  sem_t handle_{};
#endif
};

struct alignas(kCacheLine) Job {
  const int64_t tiles;
  const TileFn fn;
  void* const context;
  std::atomic<int64_t> next_tile{0};
  std::atomic<int> last_worker{0};  // the caller is worker 0
  std::atomic<int> left{0};         // workers that are through with this job

  void run_tiles(int worker) {
    int64_t tile;
    while ((tile = next_tile.fetch_add(1, std::memory_order_relaxed)) < tiles) fn(context, tile, worker);
  }
};

// States of a mailbox besides the address of a job. Only the worker itself sets kBusy and kAsleep.
Job busy_mark{}, asleep_mark{};
constexpr Job* kFree = nullptr;  // awake and looking at the mailbox
constexpr Job* kBusy = &busy_mark;
constexpr Job* kAsleep = &asleep_mark;  // free, but must be woken

struct alignas(kCacheLine) Worker {
  bool offer(Job* job) {
    Job* state = mailbox.load(std::memory_order_relaxed);
    while (state == kFree || state == kAsleep) {
      if (mailbox.compare_exchange_weak(state, job, std::memory_order_release, std::memory_order_relaxed)) {
        if (state == kAsleep) awake.post();
        return true;
      }
    }
    return false;
  }

  // Takes an offered job back. False if it was collected, or never offered to this worker.
  bool withdraw(Job* job) {
    return mailbox.load(std::memory_order_relaxed) == job &&
           mailbox.compare_exchange_strong(job, kFree, std::memory_order_relaxed);
  }

  // Ends with the one post() of the call that finds kAsleep.
  void sleep() {
    Job* state = kFree;
    if (mailbox.compare_exchange_strong(state, kAsleep, std::memory_order_relaxed)) awake.wait();
  }

  Job* collect() {
    for (;; sleep()) {
      const auto deadline = Clock::now() + kSpinTime;
      do {
        for (int i = 0; i < 32; ++i) {
          Job* job = mailbox.load(std::memory_order_relaxed);
          if (job != kFree && mailbox.compare_exchange_strong(job, kBusy, std::memory_order_acquire)) {
            return job;  // a failed exchange: it was withdrawn
          }
          pause_cpu();
        }
      } while (Clock::now() < deadline);
    }
  }

  std::atomic<Job*> mailbox{kFree};
  Semaphore awake;
};

// Workers and their threads live until the process ends: nothing to construct at import or destroy at exit.
static_assert(std::is_trivially_destructible_v<Worker>);
Worker workers[kMaxThreads - 1];
std::atomic<int> worker_count{0};
std::atomic<bool> growing{false};
thread_local bool inside_tile = false;

void* worker_main(void* argument) {
  Worker* const self = static_cast<Worker*>(argument);
  inside_tile = true;
  for (;;) {
    Job* const job = self->collect();
    job->run_tiles(1 + job->last_worker.fetch_add(1, std::memory_order_relaxed));
    // In this order: the caller's next call then finds a free worker, and the job may be gone at the end.
    self->mailbox.store(kFree, std::memory_order_relaxed);
    job->left.fetch_add(1, std::memory_order_release);
  }
}

bool start(Worker* worker) {
  worker->mailbox.store(kFree, std::memory_order_relaxed);  // after a fork it may be left over in any state
  pthread_attr_t attributes;
  if (!worker->awake.reset() || pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, worker_main, worker) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

// A forked child has only the thread that called fork().
void forget_workers() {
  worker_count.store(0, std::memory_order_relaxed);
  growing.store(false, std::memory_order_relaxed);
}

// Does its best: if threads cannot be started, or another caller is starting some, there are fewer workers.
void grow(int wanted) {
  if (worker_count.load(std::memory_order_relaxed) >= wanted) return;
  if (growing.exchange(true, std::memory_order_acquire)) return;
  static bool fork_handled = false;
  if (!fork_handled) fork_handled = pthread_atfork(nullptr, nullptr, forget_workers) == 0;
  int count = worker_count.load(std::memory_order_relaxed);
  while (fork_handled && count < wanted && start(&workers[count])) {
    worker_count.store(++count, std::memory_order_release);
  }
  growing.store(false, std::memory_order_release);
}

}  // namespace

void parallel(int threads, int64_t tiles, TileFn fn, void* context) noexcept {
  const int helpers = static_cast<int>(std::min<int64_t>({threads, tiles, kMaxThreads})) - 1;
  if (helpers <= 0 || inside_tile) {
    for (int64_t tile = 0; tile < tiles; ++tile) fn(context, tile, 0);
    return;
  }
  grow(helpers);
  Job job{tiles, fn, context};
  int collected = 0, asked = 0;
  const int count = worker_count.load(std::memory_order_acquire);
  for (; asked < count && collected < helpers; ++asked) collected += workers[asked].offer(&job);

  inside_tile = true;
  job.run_tiles(0);
  inside_tile = false;

  for (int i = 0; i < asked; ++i) collected -= workers[i].withdraw(&job);
  for (int spins = 0; job.left.load(std::memory_order_acquire) != collected;) {
    if (spins < kSpinsBeforeYield) {
      ++spins;
      pause_cpu();
    } else {
      sched_yield();
    }
  }
}

int pool_threads() noexcept { return worker_count.load(std::memory_order_relaxed); }

}  // namespace iqk
