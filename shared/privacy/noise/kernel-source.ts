/**
 * Source of the noise kernel: the look-up of draw.ts and the lattice step of rounded-gaussian.ts, each a loop over memory
 * that kernel.ts has laid out. Both are tied to the plain versions, bit for bit, by test/shared/privacy/noise-kernel.spec.ts.
 */

/** Elements in one turn of a loop: up to this many less one beyond the last are read and written too. */
export const UNROLLED = 8;

/**
 * For each word of words .. end: out += factor · at / 4 + bias, with `at` the address of the first threshold whose high part
 * is not below the word; `at` takes the word's place. Where the two were equal, the place is appended at `ties`. Returns the
 * end of the ties. The guide holds addresses. Two loops, because only the second one can work on vectors.
 */
const draw = `
func draw words:i32 end:i32 out:i32 guide:i32 shift:i32 factor:i32 bias:i32 ties:i32 -> i32
  local word:i32 at:i32 prefix:i32 top:i32 middle:i32 start:i32 f:v128 b:v128
  local.get $words
  local.set $start
  loop $words
    ${Array.from({ length: UNROLLED }, (_, i) => drawOne(4 * i)).join('')}
    local.get $words
    i32.const ${4 * UNROLLED}
    i32.add
    local.tee $words
    local.get $end
    i32.lt_u
    br_if $words
  end
  local.get $start
  local.set $words
  local.get $factor
  i32x4.splat
  local.set $f
  local.get $bias
  i32x4.splat
  local.set $b
  loop $sum
    ${Array.from(
      { length: UNROLLED / 4 },
      (_, i) => `
    local.get $out
    local.get $out
    v128.load ${16 * i}
    local.get $words
    v128.load ${16 * i}
    i32.const 2
    i32x4.shr_u
    local.get $f
    i32x4.mul
    i32x4.add
    local.get $b
    i32x4.add
    v128.store ${16 * i}`,
    ).join('')}
    local.get $out
    i32.const ${4 * UNROLLED}
    i32.add
    local.set $out
    local.get $words
    i32.const ${4 * UNROLLED}
    i32.add
    local.tee $words
    local.get $end
    i32.lt_u
    br_if $sum
  end
  local.get $ties
end`;

function drawOne(offset: number): string {
  return `
    local.get $words
    i32.load ${offset}
    local.tee $word
    local.get $shift
    i32.shr_u
    i32.const 2
    i32.shl
    local.get $guide
    i32.add
    local.tee $prefix
    i32.load
    local.tee $at
    local.get $at                   ;; one entry on if that is below the word, without a jump
    i32.load
    local.get $word
    i32.lt_u
    i32.const 2
    i32.shl
    i32.add
    local.tee $at
    i32.load
    local.get $word
    i32.le_u
    if                              ;; seldom: several thresholds under one prefix, or a tie
      local.get $prefix
      i32.load 4
      local.set $top
      block $found
        loop $halve
          local.get $top
          local.get $at
          i32.le_u
          br_if $found
          local.get $at             ;; the middle, a multiple of 4 from $at
          local.get $top
          local.get $at
          i32.sub
          i32.const 3
          i32.shr_u
          i32.const 2
          i32.shl
          i32.add
          local.tee $middle
          i32.load
          local.get $word
          i32.lt_u
          if
            local.get $middle
            i32.const 4
            i32.add
            local.set $at
          else
            local.get $middle
            local.set $top
          end
          br $halve
        end
      end
      local.get $at
      i32.load
      local.get $word
      i32.eq
      if
        local.get $ties
        local.get $words
        i32.const ${offset}
        i32.add
        i32.store
        local.get $ties
        i32.const 4
        i32.add
        local.set $ties
      end
    end
    local.get $words
    local.get $at
    i32.store ${offset}`;
}

/**
 * out = ((floor(sum / granularity + 1/2) + noise) · granularity) / divisor, rounded to float32 at the end, for each of the
 * 32-bit integers of noise .. end; sums are float64.
 */
const lattice = `
func lattice noise:i32 end:i32 sums:i32 out:i32 granularity:f64 divisor:f64
  local g:v128 d:v128 half:v128
  local.get $granularity
  f64x2.splat
  local.set $g
  local.get $divisor
  f64x2.splat
  local.set $d
  f64.const 0.5
  f64x2.splat
  local.set $half
  loop $again
    ${Array.from(
      { length: UNROLLED / 2 },
      (_, i) => `
    local.get $out
    local.get $sums
    v128.load ${16 * i}
    local.get $g
    f64x2.div
    local.get $half
    f64x2.add
    f64x2.floor
    local.get $noise
    v128.load64_zero ${8 * i}
    f64x2.convert_low_i32x4_s
    f64x2.add
    local.get $g
    f64x2.mul
    local.get $d
    f64x2.div
    f32x4.demote_f64x2_zero
    v128.store64_lane ${8 * i} 0`,
    ).join('')}
    local.get $out
    i32.const ${4 * UNROLLED}
    i32.add
    local.set $out
    local.get $sums
    i32.const ${8 * UNROLLED}
    i32.add
    local.set $sums
    local.get $noise
    i32.const ${4 * UNROLLED}
    i32.add
    local.tee $noise
    local.get $end
    i32.lt_u
    br_if $again
  end
end`;

export const NOISE_LISTING = [draw, lattice].join('\n');
