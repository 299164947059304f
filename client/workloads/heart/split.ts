/**
 * Which patients of each hospital FLamby tests on: positions, from 0, among the patients whose first ten columns are complete.
 *
 * They are what scikit-learn draws (`train_test_split`, a third, `random_state` 43, by diagnosis where a hospital has more
 * than two of each) in flamby/datasets/fed_heart_disease/dataset.py of owkin/FLamby at edacf54; taken from there once, with
 * scikit-learn 1.9.1 and NumPy 1.26.4, because its generator is not ours.
 */
export const TEST_PATIENTS = {
  cleveland: [
    5, 13, 16, 24, 26, 34, 40, 42, 43, 46, 47, 48, 49, 53, 55, 56, 59, 60, 61, 63, 64, 65, 69, 72, 76, 78, 86, 87, 88,
    90, 91, 93, 95, 101, 103, 104, 105, 113, 116, 123, 128, 133, 134, 135, 136, 137, 151, 152, 154, 156, 157, 160, 163,
    165, 170, 171, 179, 180, 188, 190, 192, 197, 201, 202, 203, 211, 213, 215, 216, 218, 221, 223, 224, 227, 228, 233,
    236, 239, 243, 246, 249, 250, 256, 257, 258, 259, 260, 264, 265, 266, 270, 283, 284, 285, 288, 289, 290, 292, 294,
    295, 296, 297, 298, 301,
  ],
  hungarian: [
    3, 7, 16, 21, 25, 26, 27, 28, 29, 32, 34, 35, 36, 41, 47, 48, 49, 51, 53, 58, 60, 61, 64, 68, 73, 74, 75, 84, 85,
    87, 89, 91, 95, 104, 107, 110, 111, 112, 117, 118, 120, 123, 127, 128, 131, 132, 136, 137, 139, 143, 145, 149, 155,
    158, 159, 161, 164, 169, 172, 179, 182, 186, 188, 189, 190, 191, 193, 194, 196, 199, 202, 203, 204, 206, 213, 219,
    223, 224, 234, 236, 239, 243, 248, 250, 251, 252, 254, 258, 259,
  ],
  switzerland: [5, 6, 7, 8, 13, 14, 18, 19, 20, 22, 24, 28, 29, 32, 40, 41],
  va: [
    1, 5, 6, 9, 12, 26, 29, 33, 35, 36, 38, 39, 41, 42, 45, 47, 54, 60, 61, 62, 64, 66, 67, 68, 73, 75, 76, 78, 79, 85,
    88, 92, 97, 98, 110, 111, 112, 114, 117, 118, 119, 121, 125, 127, 128,
  ],
} as const;

/**
 * The same patients of Cleveland in heart_cleveland.csv, whose rows are in another order: found there by their ten columns and
 * diagnosis with pandas 2, each once. Whom the copy lacks (UCI's line 185) is none of them.
 */
export const TEST_PATIENTS_OF_COPY = [
  3, 7, 16, 21, 25, 26, 27, 28, 29, 32, 34, 35, 36, 41, 47, 48, 49, 51, 53, 58, 60, 61, 64, 68, 73, 74, 75, 84, 85, 87,
  89, 91, 95, 99, 104, 107, 110, 111, 112, 117, 118, 120, 123, 127, 129, 132, 137, 138, 143, 144, 145, 146, 157, 159,
  160, 162, 171, 174, 181, 184, 187, 188, 190, 192, 193, 196, 198, 201, 204, 205, 208, 215, 221, 225, 226, 233, 235,
  236, 240, 245, 248, 251, 259, 260, 262, 263, 264, 269, 271, 273, 277, 279, 280, 281, 284, 290, 291, 293, 294, 296,
  297, 298, 299, 302,
] as const;
