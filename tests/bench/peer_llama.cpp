/* peer_llama.cpp: llama.cpp's library behind the commands of tests/bench/bench_peers.py.
 *
 *     peer_llama CONTEXTS THREADS UNIFIED MODEL.gguf [ADAPTER.gguf ...]
 *
 * CONTEXTS contexts of THREADS threads each share the lanes. An adapter is a context's, not a
 * lane's: lanes with adapters run one after another in their context, lanes without in one batch.
 * What lanes share is computed once a context and copied, as its own sequences can. Driving the
 * library itself is at least as fast as its server. Commands, a line each, and answers:
 *
 *     run LANES MAX STOP SHARED COUNT ID... LAST...  ->  PREFILL_US TOTAL_US CPU_US ids,of,lane ...
 *         CPU_US: the process's. Greedy; a lane's prompt is the COUNT ids and its LAST; with SHARED the adapter acts from
 *         LAST on, else on everything; STOP -1: only MAX ends a lane
 *     force LANE SHARED COUNT ID... MORE ID...       ->  the arg-max after each of the MORE + 1 last
 *     tokens TEXT                                    ->  ids,of,text
 */
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "llama.h"

using ids = std::vector<llama_token>;

static int64_t now_us()
{
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

static void must(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "peer_llama: %s\n", what);
    exit(1);
}

struct job {
    int max, stop;
    bool shared;
    ids prefix, last;
    std::vector<ids> out;
    std::vector<int64_t> prompted_us;
};

static llama_model *model;
static int vocabulary;
static std::vector<llama_adapter_lora *> adapters;

/* One context and its batch. */
struct worker {
    llama_context *context;
    llama_batch batch;

    void add(llama_token token, int position, int sequence, bool want)
    {
        int i = batch.n_tokens++;
        batch.token[i] = token;
        batch.pos[i] = position;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = sequence;
        batch.logits[i] = want;
    }
    void decode()
    {
        must(llama_decode(context, batch) == 0, "llama_decode failed");
        batch.n_tokens = 0;
    }
    llama_token best(int row) const
    {
        const float *logits = llama_get_logits_ith(context, row);
        float most = logits[0];
        for (int i = 1; i < vocabulary; i++) most = std::max(most, logits[i]);
        return (llama_token)(std::find(logits, logits + vocabulary, most) - logits);
    }
    void adapt(int lane)
    {
        float scale = 1;
        bool any = lane >= 0 && lane < (int)adapters.size();
        must(llama_set_adapters_lora(context, any ? &adapters[lane] : nullptr, any, &scale) == 0,
             "an adapter was refused");
    }
    void run(job &j, int first, int step);
    void decode_lanes(job &j, const std::vector<int> &lanes);
};

/* Lanes whose prompts are computed but for LAST, sequence lane + 1 each, to their ends. */
void worker::decode_lanes(job &j, const std::vector<int> &lanes)
{
    std::vector<int> going = lanes;
    int position = (int)j.prefix.size();
    for (bool begun = false; !going.empty(); position++) {
        for (int lane : going)
            add(begun ? j.out[lane].back() : j.last[lane], position, lane + 1, true);
        decode();
        std::vector<int> next;
        for (size_t i = 0; i < going.size(); i++) {
            int lane = going[i];
            llama_token token = best((int)i);
            if (!begun) j.prompted_us[lane] = now_us();
            j.out[lane].push_back(token);
            if (token != j.stop && (int)j.out[lane].size() < j.max) next.push_back(lane);
        }
        going = next;
        begun = true;
    }
}

void worker::run(job &j, int first, int step)
{
    llama_memory_t memory = llama_get_memory(context);
    llama_memory_clear(memory, false);
    std::vector<int> mine;
    for (int lane = first; lane < (int)j.last.size(); lane += step) mine.push_back(lane);
    if (mine.empty()) return;
    bool alone = !adapters.empty();
    if (j.shared || !alone) {
        adapt(-1);
        for (size_t i = 0; i < j.prefix.size(); i++) add(j.prefix[i], (int)i, 0, false);
        decode();
        for (int lane : mine) llama_memory_seq_cp(memory, 0, lane + 1, -1, -1);
    }
    if (!alone) {
        decode_lanes(j, mine);
        return;
    }
    for (int lane : mine) {
        adapt(lane);
        if (!j.shared) {
            for (size_t i = 0; i < j.prefix.size(); i++) add(j.prefix[i], (int)i, lane + 1, false);
            decode();
        }
        decode_lanes(j, {lane});
    }
}

static void read_ids(std::istream &in, size_t count, ids &out)
{
    for (llama_token id; count && in >> id; count--) out.push_back(id);
    must(count == 0, "a command is cut short");
}

static void print(const ids &list)
{
    for (size_t i = 0; i < list.size(); i++) printf(i ? ",%d" : " %d", list[i]);
}

static void run(std::vector<worker> &workers, std::istream &in)
{
    job j;
    int lanes, count;
    in >> lanes >> j.max >> j.stop >> j.shared >> count;
    read_ids(in, count, j.prefix);
    read_ids(in, lanes, j.last);
    j.out.resize(lanes);
    j.prompted_us.resize(lanes);
    int64_t start_us = now_us();
    clock_t before = clock();
    std::vector<std::thread> threads;
    int step = (int)workers.size();
    for (int i = 1; i < step; i++) threads.emplace_back([&, i] { workers[i].run(j, i, step); });
    workers[0].run(j, 0, step);
    for (std::thread &thread : threads) thread.join();
    int64_t end_us = now_us();
    int64_t prompted_us = *std::max_element(j.prompted_us.begin(), j.prompted_us.end());
    long long cpu_us = (long long)((double)(clock() - before) * 1e6 / CLOCKS_PER_SEC);
    printf("%lld %lld %lld", (long long)(prompted_us - start_us), (long long)(end_us - start_us), cpu_us);
    for (const ids &lane : j.out) print(lane);
    printf("\n");
}

static void force(worker &w, std::istream &in)
{
    int lane, shared, count, more;
    ids prompt, rest;
    in >> lane >> shared >> count;
    read_ids(in, count, prompt);
    in >> more;
    read_ids(in, more, rest);
    llama_memory_clear(llama_get_memory(w.context), false);
    w.adapt(shared ? -1 : lane);
    for (int i = 0; i + 1 < count; i++) w.add(prompt[i], i, 0, false);
    w.decode();
    w.adapt(lane);
    w.add(prompt[count - 1], count - 1, 0, true);
    for (int i = 0; i < more; i++) w.add(rest[i], count + i, 0, true);
    w.decode();
    ids best;
    for (int i = 0; i <= more; i++) best.push_back(w.best(i));
    print(best);
    printf("\n");
}

static void tokens(const std::string &text)
{
    ids out(text.size() + 8);
    int n = llama_tokenize(llama_model_get_vocab(model), text.data(), (int)text.size(), out.data(),
                           (int)out.size(), false, false);
    must(n >= 0, "a text was refused");
    out.resize(n);
    print(out);
    printf("\n");
}

int main(int count, char **argument)
{
    must(count >= 5, "usage: peer_llama CONTEXTS THREADS UNIFIED MODEL [ADAPTER ...]");
    llama_log_set([](ggml_log_level level, const char *text, void *) {
        if (level >= GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
    }, nullptr);
    llama_backend_init();
    llama_model_params how = llama_model_default_params();
    how.progress_callback = [](float, void *) { return true; };
    model = llama_model_load_from_file(argument[4], how);
    must(model, "the model was refused");
    vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    for (int i = 5; i < count; i++) {
        adapters.push_back(llama_adapter_lora_init(model, argument[i]));
        must(adapters.back(), "an adapter was refused");
    }
    std::vector<worker> workers(atoi(argument[1]));
    for (worker &w : workers) {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = 4096;
        params.n_batch = params.n_ubatch = 512;
        params.n_seq_max = 33;
        params.kv_unified = atoi(argument[3]) != 0;
        params.n_threads = params.n_threads_batch = atoi(argument[2]);
        params.no_perf = true;
        w.context = llama_init_from_model(model, params);
        must(w.context, "a context was refused");
        w.batch = llama_batch_init(512, 0, 1);
    }
    printf("ready\n");
    fflush(stdout);
    for (std::string line, command; std::getline(std::cin, line);) {
        std::istringstream in(line);
        in >> command;
        if (command == "run") run(workers, in);
        if (command == "force") force(workers[0], in);
        if (command == "tokens") tokens(line.substr(7));
        fflush(stdout);
    }
    return 0;
}
