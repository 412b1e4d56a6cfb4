/* attention.cu: softmax(q k / sqrt(head_dim)) v over a lane's pages, heads in groups.
 *
 * Positions are split into stretches of 128 (flash decoding: Dao et al., 2023; over pages: Kwon et
 * al., 2023), and a block takes one stretch for one row and one group of heads that share K and V,
 * four heads at a time: each thread first holds one position's scores, then one or two of each
 * head's values, which it adds position by position. Sums, their weight and maximum go to partial;
 * the block that ends a group's last stretch puts them together in order (online softmax: Milakov
 * and Gimelshein, 2018). Stretches begin at position 0 whatever else the step holds and whichever
 * block takes them, so a row's sums always have the same order.
 *
 * Bytes moved: for each row and four heads of a group positions * head_dim * 2 * 2 (KV in F16), for
 * lanes beyond 128 positions also stretches * heads * (head_dim + 2) * 8.
 */
#include "kernels/cuda/vocabulary.cuh"

#define HEADS  4                                /* of a group, at once */
#define VALUES (HG_CUDA_HEAD_DIM_MAX / THREADS) /* of a head, in one thread */

/* What a block looks at. */
struct stretch {
    const uint32_t *page; /* of the row's lane */
    uint32_t row, group, split;
    uint32_t first, count; /* positions */
    uint32_t head, heads;  /* up to four of the group: the first's number of all, how many */
};

/* Eight values of K from i on; entries are whole lines of 16 bytes where head_dim allows. */
static __device__ inline void key_values(const uint16_t *k, uint32_t i, uint32_t dim, float *value)
{
    if (dim % 8) {
        for (uint32_t n = 0; n < 8; n++) value[n] = i + n < dim ? f32_of_f16(k[i + n]) : 0;
        return;
    }
    uint4 word = *(const uint4 *)(const void *)(k + i);
    uint32_t bits[4] = {word.x, word.y, word.z, word.w};
    for (uint32_t n = 0; n < 8; n++) value[n] = f32_of_f16((uint16_t)(bits[n / 2] >> n % 2 * 16));
}

static __device__ inline const uint16_t *entry(const hg_cuda_attend &a, const stretch &s,
                                               uint32_t which, uint32_t position)
{
    uint32_t page = s.page[position / HG_LIMIT_PAGE_TOKENS];
    return kv_entry(a.kv, page, which, position) + (size_t)s.group * a.head_dim;
}

/* score[h] = q k of the thread's position, for heads of the group from first on. */
template <class Query>
static __device__ inline void find_scores(const hg_cuda_attend &a, const stretch &s, const Query &q,
                                          float *score)
{
    for (uint32_t h = 0; h < HEADS; h++) score[h] = -INFINITY;
    if (threadIdx.x >= s.count) return;
    const uint16_t *k = entry(a, s, 0, s.first + threadIdx.x);
    float value[8], sum[HEADS] = {0};
    for (uint32_t i = 0; i < a.head_dim; i += 8) {
        key_values(k, i, a.head_dim, value);
        for (uint32_t h = 0; h < HEADS; h++)
            for (uint32_t n = 0; n < 8; n++)
                sum[h] = multiply_add(q[h * HG_CUDA_HEAD_DIM_MAX + i + n], value[n], sum[h]);
    }
    for (uint32_t h = 0; h < HEADS; h++) score[h] = sum[h] / sqrtf((float)a.head_dim);
}

/* Where a head's stretch leaves what it found: [head_dim] sums, their weight, the maximum. */
static __device__ inline float *partial_of(const hg_cuda_attend &a, uint32_t row, uint32_t head,
                                           uint32_t split)
{
    size_t stretches = ((size_t)row * a.heads + head) * a.splits + split;
    return a.partial + stretches * (a.head_dim + 2);
}

/* The stretch for its heads. */
template <class Query, class Weights, class Scratch>
static __device__ inline void attend_heads(const hg_cuda_attend &a, const stretch &s, Query &q,
                                           Weights &weight, Scratch &scratch)
{
    uint32_t me = threadIdx.x, dim = a.head_dim, padded = divide_up(dim, 8) * 8;
    uint32_t first = s.head, heads = s.heads;
    const float *from = a.q + ((size_t)s.row * a.heads + first) * dim;
    for (uint32_t i = me; i < HEADS * padded; i += THREADS) {
        uint32_t h = i / padded, n = i % padded;
        q[h * HG_CUDA_HEAD_DIM_MAX + n] = h < heads && n < dim ? from[h * dim + n] : 0.0f;
    }
    __syncthreads();
    float score[HEADS], total[HEADS], most[HEADS];
    find_scores(a, s, q, score);
    for (uint32_t h = 0; h < HEADS; h++) {
        most[h] = block_max(score[h], scratch);
        score[h] = me < s.count ? expf(score[h] - most[h]) : 0;
        weight[h * THREADS + me] = score[h];
        total[h] = block_sum(score[h], scratch); /* its barriers publish the weights too */
    }
    for (uint32_t j = 0; j < VALUES; j++) {
        uint32_t i = me + j * THREADS;
        if (i >= dim) break;
        float sum[HEADS] = {0};
        for (uint32_t t = 0; t < s.count; t++) {
            float value = f32_of_f16(entry(a, s, 1, s.first + t)[i]);
            for (uint32_t h = 0; h < HEADS; h++)
                sum[h] = multiply_add(weight[h * THREADS + t], value, sum[h]);
        }
        for (uint32_t h = 0; h < HEADS; h++)
            if (h < heads) partial_of(a, s.row, first + h, s.split)[i] = sum[h];
    }
    for (uint32_t h = 0; h < HEADS; h++) {
        if (me || h >= heads) continue;
        float *to = partial_of(a, s.row, first + h, s.split);
        to[dim] = total[h];
        to[dim + 1] = most[h];
    }
    __syncthreads(); /* the next heads' q may come */
}

/* The group's stretches in order, a thread for each value. */
static __device__ inline void join(const hg_cuda_attend &a, const stretch &s, uint32_t splits)
{
    uint32_t dim = a.head_dim, heads = a.heads / a.kv_heads, first = s.group * heads;
    for (uint32_t v = threadIdx.x; v < heads * dim; v += THREADS) {
        uint32_t head = first + v / dim, i = v % dim;
        float sum = 0, total = 0, most = -INFINITY;
        for (uint32_t split = 0; split < splits; split++) {
            const volatile float *from = partial_of(a, s.row, head, split);
            float higher = fmaxf(most, from[dim + 1]);
            float keep = expf(most - higher), scale = expf(from[dim + 1] - higher);
            sum = multiply_add(from[i], scale, sum * keep);
            total = multiply_add(from[dim], scale, total * keep);
            most = higher;
        }
        a.out[((size_t)s.row * a.heads + head) * dim + i] = f16_of_f32(sum / total);
    }
}

static __global__ void HG_BLOCKS_AT_LEAST(4)
    attention_kernel(const __grid_constant__ hg_cuda_queue queue,
                     const __grid_constant__ hg_cuda_attend a)
{
    HG_SHARED(float, scratch, WARPS);
    HG_SHARED(float, q, HEADS *HG_CUDA_HEAD_DIM_MAX);
    HG_SHARED(float, weight, HEADS *THREADS);
    HG_SHARED(uint32_t, last, 1);
    previous_done();
    next_may_start();
    const hg_cuda_pass &pass = *queue.pass;
    uint32_t heads = a.heads / a.kv_heads, items = pass.rows * a.kv_heads * pass.splits;
    for (uint32_t item = blockIdx.x; item < items; item += gridDim.x) {
        stretch s;
        s.split = item % pass.splits;
        s.group = item / pass.splits % a.kv_heads;
        s.row = item / pass.splits / a.kv_heads;
        uint32_t positions = pass.row[s.row].position + 1,
                 splits = divide_up(positions, HG_CUDA_SPLIT);
        if (s.split >= splits) continue;
        s.page = queue.page + (size_t)pass.row[s.row].lane * queue.lane_pages;
        s.first = s.split * HG_CUDA_SPLIT;
        s.count = positions - s.first < HG_CUDA_SPLIT ? positions - s.first : HG_CUDA_SPLIT;
        for (uint32_t h = 0; h < heads; h += HEADS) {
            s.head = s.group * heads + h;
            s.heads = heads - h < HEADS ? heads - h : HEADS;
            attend_heads(a, s, q, weight, scratch);
        }
        uint32_t *counter = &a.counter[s.row * a.kv_heads + s.group];
        memory_fence();
        __syncthreads();
        if (!threadIdx.x) last[0] = atomic_add(counter, 1) + 1 == splits;
        __syncthreads();
        if (!last[0]) continue;
        memory_fence();
        if (!threadIdx.x) *counter = 0;
        join(a, s, splits);
    }
}

extern "C" cudaError_t hg_cuda_attend_residency(hg_cuda_residency *out)
{
    return HG_RESIDENT(attention_kernel, 0, &out->attend);
}

extern "C" cudaError_t hg_cuda_attend_run(const hg_cuda_queue *queue, const hg_cuda_attend *attend)
{
    uint32_t items = queue->row_tiles * 8 * attend->kv_heads * attend->splits;
    uint32_t blocks = items < queue->blocks ? items : queue->blocks;
    HG_LAUNCH(attention_kernel, blocks, 0, *queue, *queue, *attend);
    return cudaGetLastError();
}
