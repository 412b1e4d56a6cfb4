/* project.cu: up to three layers times up to 32 rows, with norm, adapters and what follows: the
 * decode path's one kernel. Prompts and drafts run through it in passes.
 *
 * Work is cut into items: a tile of 64 outputs times a chunk of 1024 inputs. The grid is as large
 * as the card holds at once, and each block takes one stretch of the items, chunk by chunk, so that
 * it stages a chunk's rows once for all its tiles. Its four warps have 16 of the outputs each; a
 * lane copies just the 16-byte pieces that it will use (packed.h), units ahead, across the ends of
 * items, and before the launch ahead has ended, since weights depend on nothing. No barrier of the
 * block stands between units.
 *
 * Sums: each item's go to partial; the block that brings a tile's last chunk adds them up in order
 * of chunks and finishes it (project_finish.cuh). So a row's sums have one order, whatever the
 * card, the grid, the other rows, or who came last. Adapters: blocks first do A x for single rows
 * and four ranks; whoever does the last of these counts as one more chunk of every tile. Nobody
 * waits. (Split sums and the last block: CUDA's threadFenceReduction sample. Tensor-core layout as
 * in Marlin, Frantar et al., 2024: weights as operand A, so that 8 rows fill a product.)
 *
 * Bytes moved: the packed weights once; of each row 4 bytes a column for each block; partial sums,
 * rows * outputs * chunks * 8, in the second cache; each row's own A and B at their true ranks.
 */
#include "kernels/cuda/fragment.cuh"
#include "kernels/cuda/project_finish.cuh"

#define CHUNK_UNITS(bits) (2u * (bits))                                     /* units of a chunk */
#define SLOTS(row_tiles)  ((row_tiles) == 1 ? 7 : (row_tiles) == 2 ? 6 : 5) /* units on their way  \
                                                                             */
#define ROW_WORDS(row_tiles) (HG_CUDA_CHUNK / 16 * (row_tiles)*64)

/* Where the warp's copies have got to. */
struct reader {
    uint32_t item, end; /* items of the block */
    uint32_t left;      /* units of this item */
    uint32_t bytes;     /* of a unit */
    const uint8_t *from;
};

/* The part whose tile this is; *tile becomes its own. */
static __device__ inline uint32_t find_part(const hg_cuda_project &p, uint32_t *tile)
{
    uint32_t part = 0;
    while (part + 1 < p.parts && *tile >= p.part[part].tiles) *tile -= p.part[part++].tiles;
    return part;
}

/* Units of the layer that lie in a chunk, and the first one's number. */
static __device__ inline uint32_t chunk_units(const hg_cuda_linear &w, uint32_t chunk,
                                              uint32_t *first)
{
    *first = chunk * CHUNK_UNITS(w.bits);
    uint32_t left = w.units - *first;
    return left < CHUNK_UNITS(w.bits) ? left : CHUNK_UNITS(w.bits);
}

static __device__ inline void seek(const hg_cuda_project &p, reader *r)
{
    if (r->item == r->end) return;
    uint32_t tile = r->item % p.tiles, first;
    const hg_cuda_linear &w = p.part[find_part(p, &tile)];
    r->left = chunk_units(w, r->item / p.tiles, &first);
    r->bytes = w.unit_bytes;
    r->from = w.unit + ((size_t)(tile * WARPS + threadIdx.x / 32) * w.units + first) * w.unit_bytes;
}

/* Asks for the warp's next unit; at the end only for nothing, so that groups of copies count on. */
template <class Words>
static __device__ inline void fetch(const hg_cuda_project &p, reader *r, Words &ring, uint32_t at)
{
    if (r->item < r->end) {
        uint32_t lane = threadIdx.x % 32;
        for (uint32_t i = lane; i < HG_CUDA_UNIT_CODES / 16; i += 32)
            copy_async(ring, at + i * 4, r->from + i * 16);
        uint32_t i = HG_CUDA_UNIT_CODES / 16 + lane;
        if (i < r->bytes / 16) copy_async(ring, at + i * 4, r->from + i * 16);
        r->from += r->bytes;
        if (!--r->left) {
            r->item++;
            seek(p, r);
        }
    }
    copy_commit();
}

/* The warp's sums of an item to their place: [rows, 64]. */
template <int row_tiles>
static __device__ inline void store_partial(const hg_cuda_project &p, uint32_t item, uint32_t rows,
                                            const float (*total)[4])
{
    uint32_t lane = threadIdx.x % 32, chunks = divide_up(p.columns, HG_CUDA_CHUNK);
    float *to = p.partial + ((size_t)(item % p.tiles) * chunks + item / p.tiles) *
                                (HG_CUDA_ROWS * HG_CUDA_TILE);
    uint32_t out = threadIdx.x / 32 * 16 + lane / 4;
    for (uint32_t j = 0; j < row_tiles; j++)
        for (uint32_t c = 0; c < 4; c++) {
            uint32_t row = j * 8 + lane % 4 * 2 + c % 2;
            if (row < rows) to[row * HG_CUDA_TILE + out + c / 2 * 8] = total[j][c];
        }
}

static __device__ inline void finish_tile(const hg_cuda_project &p, const hg_cuda_queue &queue,
                                          uint32_t tile, uint32_t rows)
{
    const hg_cuda_pass &pass = *queue.pass;
    uint32_t chunks = divide_up(p.columns, HG_CUDA_CHUNK), lane = threadIdx.x % 32, own = tile;
    const float *from =
        p.partial + (size_t)tile * chunks * (HG_CUDA_ROWS * HG_CUDA_TILE) + lane * 2;
    finished f;
    f.part = find_part(p, &own);
    find_places(p, own * HG_CUDA_TILE + lane * 2, &f);
    for (f.row = threadIdx.x / 32; f.row < rows; f.row += WARPS) {
        f.y[0] = f.y[1] = 0;
        for (uint32_t c = 0; c < chunks; c++) {
            float2 two = load_fresh(from + (size_t)(c * HG_CUDA_ROWS + f.row) * HG_CUDA_TILE);
            f.y[0] += two.x;
            f.y[1] += two.y;
        }
        if (p.lora && pass.rank_most) expand(p, pass, &f);
        switch (p.finish) {
        case HG_CUDA_QKV: finish_qkv(p, pass, queue.page, queue.lane_pages, &f); break;
        case HG_CUDA_ADD: finish_add(p, tile, f); break;
        case HG_CUDA_SWIGLU: finish_swiglu(p, f); break;
        case HG_CUDA_HEAD: finish_head(p, pass, tile, f); break;
        }
    }
}

/* Counts arrivals at count tiles from first on, a thread each; finishes those that are complete. */
template <class Flags>
static __device__ inline void arrive(const hg_cuda_project &p, const hg_cuda_queue &queue,
                                     uint32_t first, uint32_t count, uint32_t rows, Flags &complete)
{
    uint32_t me = threadIdx.x;
    uint32_t all = divide_up(p.columns, HG_CUDA_CHUNK) + (p.lora && queue.pass->rank_most);
    memory_fence();
    __syncthreads();
    if (me < count) complete[me] = atomic_add(&p.counter[first + me], 1) + 1 == all;
    __syncthreads();
    for (uint32_t i = 0; i < count; i++) {
        if (!complete[i]) continue;
        memory_fence();
        if (!me) p.counter[first + i] = 0;
        finish_tile(p, queue, first + i, rows);
    }
}

/* A x of all rows' adapters, in pieces; the block that ends the last one arrives at all tiles. */
template <class Factors, class Flags>
static __device__ inline void shrink_all(const hg_cuda_project &p, const hg_cuda_queue &queue,
                                         uint32_t rows, const Factors &factor, Flags &complete)
{
    const hg_cuda_pass &pass = *queue.pass;
    if (!p.lora || !pass.rank_most) return;
    uint32_t layers = p.finish == HG_CUDA_SWIGLU ? 2 : p.parts, all = 0;
    uint32_t pieces = rows * layers * divide_up(pass.rank_most, WARPS), mine = 0;
    for (uint32_t i = blockIdx.x; i < pieces; i += gridDim.x, mine++)
        shrink(p, pass, i % rows, i / rows % layers, i / rows / layers, factor);
    if (!mine) return;
    memory_fence();
    __syncthreads();
    if (!threadIdx.x) complete[0] = atomic_add(&p.counter[p.tiles], mine) + mine == pieces;
    __syncthreads();
    all = complete[0];
    __syncthreads();
    if (!all) return;
    if (!threadIdx.x) p.counter[p.tiles] = 0;
    for (uint32_t first = 0; first < p.tiles; first += THREADS)
        arrive(p, queue, first, p.tiles - first < THREADS ? p.tiles - first : THREADS, rows,
               complete);
}

template <int row_tiles>
static __global__ void HG_BLOCKS_AT_LEAST(row_tiles == 4 ? 2 : 4)
    project_kernel(const __grid_constant__ hg_cuda_project p,
                   const __grid_constant__ hg_cuda_queue queue, uint32_t slot_words)
{
    constexpr uint32_t slots = SLOTS(row_tiles);
    HG_DYNAMIC(uint32_t, x, 0, ROW_WORDS(row_tiles));
    HG_DYNAMIC(uint32_t, ring, ROW_WORDS(row_tiles) * 4, WARPS * slots * slot_words);
    HG_SHARED(float, factor, HG_CUDA_ROWS);
    HG_SHARED(uint32_t, complete, THREADS);
    uint64_t items = (uint64_t)p.tiles * divide_up(p.columns, HG_CUDA_CHUNK);
    uint32_t item = (uint32_t)(items * blockIdx.x / gridDim.x);
    reader r = {item, (uint32_t)(items * (blockIdx.x + 1) / gridDim.x), 0, 0, nullptr};
    uint32_t base = threadIdx.x / 32 * slots * slot_words, slot = 0;
    seek(p, &r);
    for (uint32_t i = 0; i + 1 < slots; i++) fetch(p, &r, ring, base + i * slot_words);
    previous_done();
    next_may_start();
    uint32_t rows = p.finish == HG_CUDA_HEAD ? queue.pass->wanted : queue.pass->rows;
    find_factors(p, *queue.pass, rows, factor);
    shrink_all(p, queue, rows, factor, complete);
    for (uint32_t staged = ~0u; item < r.end; item++) {
        uint32_t tile = item % p.tiles, first;
        const hg_cuda_linear &w = p.part[find_part(p, &tile)];
        uint32_t units = chunk_units(w, item / p.tiles, &first);
        if (item / p.tiles != staged) {
            staged = item / p.tiles;
            __syncthreads(); /* all have used the chunk before */
            stage_rows<row_tiles>(p, *queue.pass, rows, staged, factor, x);
            __syncthreads();
        }
        float total[row_tiles][4] = {};
        for (uint32_t u = 0; u < units; u++) {
            copy_wait(slots - 2);
            warp_barrier(); /* the whole warp's copies are there, and it is done with the slot
                               before */
            uint32_t next = slot ? slot - 1 : slots - 1;
            fetch(p, &r, ring, base + next * slot_words);
            multiply_any<row_tiles>(w, ring, base + slot * slot_words, x, u * (32u / w.bits),
                                    total);
            slot = slot + 1 == slots ? 0 : slot + 1;
        }
        store_partial<row_tiles>(p, item, rows, total);
        arrive(p, queue, item % p.tiles, 1, rows, complete);
    }
    copy_wait(0);
}

static size_t shared_bytes(uint32_t row_tiles, uint32_t slot_words)
{
    uint32_t slots = SLOTS(row_tiles);
    return (ROW_WORDS(row_tiles) + (size_t)WARPS * slots * slot_words) * 4;
}

extern "C" cudaError_t hg_cuda_project_residency(uint32_t unit_bytes, hg_cuda_residency *out)
{
    uint32_t words = unit_bytes / 4;
    cudaError_t failed = HG_RESIDENT(project_kernel<1>, shared_bytes(1, words), &out->project[0]);
    if (failed == cudaSuccess)
        failed = HG_RESIDENT(project_kernel<2>, shared_bytes(2, words), &out->project[1]);
    if (failed == cudaSuccess)
        failed = HG_RESIDENT(project_kernel<4>, shared_bytes(4, words), &out->project[2]);
    return failed;
}

extern "C" cudaError_t hg_cuda_project_run(const hg_cuda_queue *queue, const hg_cuda_project *p)
{
    uint32_t words = 0, tiles = queue->row_tiles,
             items = p->tiles * divide_up(p->columns, HG_CUDA_CHUNK);
    for (uint32_t i = 0; i < p->parts; i++)
        if (p->part[i].unit_bytes / 4u > words) words = p->part[i].unit_bytes / 4;
    uint32_t blocks = items < queue->blocks ? items : queue->blocks;
    size_t bytes = shared_bytes(tiles, words);
    if (tiles == 1)
        HG_LAUNCH(project_kernel<1>, blocks, bytes, *queue, *p, *queue, words);
    else if (tiles == 2)
        HG_LAUNCH(project_kernel<2>, blocks, bytes, *queue, *p, *queue, words);
    else
        HG_LAUNCH(project_kernel<4>, blocks, bytes, *queue, *p, *queue, words);
    return cudaGetLastError();
}
