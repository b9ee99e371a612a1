/* What the CUDA sources of MinkowskiEngine 0.5.4 (2021) lack in the toolkits 12 and 13. The build includes it before every
 * one of them (scripts/build_minkowski.sh), so that the released source is compiled as it is.
 */
#pragma once
#ifdef __CUDACC__

/* Incomplete in ATen/cuda/CUDAUtils.h unless it comes first. */
#include <ATen/ATen.h>
#include <cuda_runtime.h>

/* Since 12 the headers of Thrust no longer bring one another. */
#include <thrust/count.h>
#include <thrust/device_vector.h>
#include <thrust/execution_policy.h>
#include <thrust/fill.h>
#include <thrust/for_each.h>
#include <thrust/host_vector.h>
#include <thrust/iterator/constant_iterator.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/zip_iterator.h>
#include <thrust/reduce.h>
#include <thrust/remove.h>
#include <thrust/scan.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <thrust/transform.h>
#include <thrust/unique.h>
#include <thrust/version.h>

/* Since 12.4 both std and cuda::std offer __to_address for its map; a closer match ends the dispute. */
template <class Key, class Element, class Hash, class Equal, class Allocator>
class concurrent_unordered_map;

template <class Key, class Element, class Hash, class Equal, class Allocator>
constexpr auto __to_address(concurrent_unordered_map<Key, Element, Hash, Equal, Allocator> *map) noexcept {
    return map;
}

/* Gone from Thrust 3, which comes with 13. */
#if THRUST_VERSION >= 300000
namespace thrust {
template <class Argument, class Result>
struct unary_function {
    using argument_type = Argument;
    using result_type = Result;
};
} // namespace thrust
#endif

/* 13 takes a location in place of the number of a device. */
#if CUDART_VERSION >= 13000
static inline cudaError_t cudaMemPrefetchAsync(const void *data, size_t size_bytes, int device, cudaStream_t stream) {
    cudaMemLocation location{};
    location.type = cudaMemLocationTypeDevice;
    location.id = device;
    return cudaMemPrefetchAsync(data, size_bytes, location, 0u, stream);
}
#endif

#endif
