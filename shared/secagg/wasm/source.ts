/**
 * The SIMD kernel's source: addition in Z_2^32, stochastic rounding, and the evaluation of Shamir polynomials over
 * GF(2^16), each a loop over 16-byte vectors of memory that the caller has laid out. The plain versions they are held
 * against stand in reference.ts; test/shared/secagg/kernel.spec.ts ties the two.
 *
 * All lengths are in bytes and multiples of 64 (`add`, `sub`) or 16 (`quantize`): callers pad, no tails here.
 */

/** dst[i] (op) src[i] over 32-bit lanes, four vectors at a time. */
const addOrSub = (name: 'add' | 'sub'): string => `
func ${name} dst:i32 src:i32 bytes:i32
  local end:i32
  local.get $dst
  local.get $bytes
  i32.add
  local.set $end
  loop $again
    ${[0, 16, 32, 48]
      .map(
        (offset) => `
    local.get $dst
    local.get $dst
    v128.load ${offset}
    local.get $src
    v128.load ${offset}
    i32x4.${name}
    v128.store ${offset}`,
      )
      .join('')}
    local.get $src
    i32.const 64
    i32.add
    local.set $src
    local.get $dst
    i32.const 64
    i32.add
    local.tee $dst
    local.get $end
    i32.lt_u
    br_if $again
  end
end`;

/**
 * dst = weight * (floor(y) + [r < frac(y)]), y = clamp(src * scale, -max, max), r = top 24 bits of rnd / 2^24.
 * Returns non-zero if some input was not finite.
 */
const quantize = `
func quantize dst:i32 src:i32 rnd:i32 bytes:i32 scale:f32 max:f32 weight:i32 -> i32
  local end:i32 y:v128 low:v128 bad:v128
  local.get $dst
  local.get $bytes
  i32.add
  local.set $end
  loop $again
    local.get $src                  ;; x - x is NaN for NaN and infinities, else 0
    v128.load
    local.tee $y
    local.get $y
    f32x4.sub
    local.tee $low
    local.get $low
    f32x4.ne
    local.get $bad
    v128.or
    local.set $bad

    local.get $y
    local.get $scale
    f32x4.splat
    f32x4.mul
    local.get $max
    f32x4.splat
    f32x4.pmin
    local.get $max
    f32.neg
    f32x4.splat
    f32x4.pmax
    local.tee $y
    f32x4.floor
    local.set $low

    local.get $dst
    local.get $low
    i32x4.trunc_sat_f32x4_s
    local.get $rnd                  ;; r < y - floor(y), exact in float32; true is -1 in each lane
    v128.load
    i32.const 8
    i32x4.shr_u
    f32x4.convert_i32x4_u
    f32.const 5.9604644775390625e-8 ;; 2^-24
    f32x4.splat
    f32x4.mul
    local.get $y
    local.get $low
    f32x4.sub
    f32x4.lt
    i32x4.sub
    local.get $weight
    i32x4.splat
    i32x4.mul
    v128.store

    local.get $src
    i32.const 16
    i32.add
    local.set $src
    local.get $rnd
    i32.const 16
    i32.add
    local.set $rnd
    local.get $dst
    i32.const 16
    i32.add
    local.tee $dst
    local.get $end
    i32.lt_u
    br_if $again
  end
  local.get $bad
  v128.any_true
end`;

const lanes = [0, 1, 2, 3];
const forLanes = (body: (lane: number) => string): string => lanes.map(body).join('');

/**
 * Shares of 64-byte secrets: out[j] = sum_i coeff[i] * x^i in each of 32 lanes of GF(2^16), for x = first, first+1, ...
 * Horner's rule; the product by the public x walks down its bits, doubling in the field (shift, and xor the reduction
 * polynomial where a bit fell out), so no secret ever chooses a branch or an address.
 */
const shares = `
func shares coeffs:i32 count:i32 out:i32 first:i32 holders:i32
  local x:i32 last:i32 at:i32 bit:i32 poly:v128
  local a0:v128 a1:v128 a2:v128 a3:v128 r0:v128 r1:v128 r2:v128 r3:v128
  i32.const 0x100b                  ;; x^16 = x^12 + x^3 + x + 1
  i16x8.splat
  local.set $poly
  local.get $first
  local.tee $x
  local.get $holders
  i32.add
  local.set $last
  loop $holder
    local.get $coeffs
    local.get $count
    i32.const 6
    i32.shl
    i32.add
    i32.const 64
    i32.sub
    local.set $at
    ${forLanes(
      (i) => `
    local.get $at
    v128.load ${16 * i}
    local.set $a${i}`,
    )}
    block $done
      loop $horner
        local.get $at
        local.get $coeffs
        i32.gt_u
        i32.eqz
        br_if $done
        local.get $at
        i32.const 64
        i32.sub
        local.set $at
        i32.const 0x40000000        ;; half of x's top bit
        local.get $x
        i32.clz
        i32.shr_u
        local.set $bit
        ${forLanes(
          (i) => `
        local.get $a${i}
        local.set $r${i}`,
        )}
        block $product
          loop $bits
            local.get $bit
            i32.eqz
            br_if $product
            ${forLanes(
              (i) => `
            local.get $r${i}
            i32.const 1
            i16x8.shl
            local.get $r${i}
            i32.const 15
            i16x8.shr_s
            local.get $poly
            v128.and
            v128.xor
            local.set $r${i}`,
            )}
            local.get $x
            local.get $bit
            i32.and
            if
              ${forLanes(
                (i) => `
              local.get $r${i}
              local.get $a${i}
              v128.xor
              local.set $r${i}`,
              )}
            end
            local.get $bit
            i32.const 1
            i32.shr_u
            local.set $bit
            br $bits
          end
        end
        ${forLanes(
          (i) => `
        local.get $r${i}
        local.get $at
        v128.load ${16 * i}
        v128.xor
        local.set $a${i}`,
        )}
        br $horner
      end
    end
    ${forLanes(
      (i) => `
    local.get $out
    local.get $a${i}
    v128.store ${16 * i}`,
    )}
    local.get $out
    i32.const 64
    i32.add
    local.set $out
    local.get $x
    i32.const 1
    i32.add
    local.tee $x
    local.get $last
    i32.lt_u
    br_if $holder
  end
end`;

export const KERNEL_LISTING = [addOrSub('add'), addOrSub('sub'), quantize, shares].join('\n');
