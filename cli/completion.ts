/**
 * Completion scripts for shells, from the command tree: subcommands by the words before the cursor, and the options and
 * fixed arguments of the command that these name; files elsewhere. A script is static and starts no program.
 */
import type { Command } from 'commander';

/** Shells that have a script. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What may follow one command: `path` is its words, the program's name first. */
interface Place {
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly help: string }[];
}

/** To be read by the shell: `source <(starling completion bash)`. */
export function completionScript(program: Command, shell: Shell): string {
  const name = program.name();
  const places = placesOf(program);
  return shell === 'fish' ? fish(name, places) : bash(name, places, shell === 'zsh');
}

function placesOf(command: Command, above = ''): Place[] {
  const path = `${above}${command.name()}`;
  const help = command.createHelp();
  const words = [
    ...command.commands.map((one) => ({ word: one.name(), help: one.description() })),
    ...command.registeredArguments.flatMap(({ argChoices = [], description }) =>
      argChoices.map((word) => ({ word, help: description })),
    ),
    ...help.visibleOptions(command).map((option) => ({ word: option.long!, help: option.description })),
  ];
  return [{ path, words }, ...command.commands.flatMap((one) => placesOf(one, `${path} `))];
}

/** zsh reads it too, by its emulation of bash's completion. */
function bash(name: string, places: readonly Place[], isZsh: boolean): string {
  const paths = places.map(({ path }) => quoted(path)).join('|');
  const cases = places.map(
    ({ path, words }) => `    ${quoted(path)}) words=${quoted(words.map(({ word }) => word).join(' '))} ;;`,
  );
  return [
    ...(isZsh
      ? [`#compdef ${name}`, 'autoload -U +X compinit && compinit', 'autoload -U +X bashcompinit && bashcompinit']
      : []),
    `_${name}() {`,
    "  local path='' word words i",
    '  for ((i = 0; i < COMP_CWORD; i++)); do',
    `    word="\${COMP_WORDS[i]##*/}"`,
    `    case "\${path:+$path }$word" in`,
    `      ${paths}) path="\${path:+$path }$word" ;;`,
    '    esac',
    '  done',
    '  case "$path" in',
    ...cases,
    '  esac',
    `  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))`,
    '}',
    `complete -o default -F _${name} ${name}`,
    '',
  ].join('\n');
}

function fish(name: string, places: readonly Place[]): string {
  const lines = places.flatMap(({ path, words }) =>
    words.map(({ word, help }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
      return `complete -c ${name} -n ${quoted(`__${name}_at ${path}`)} ${what} -d ${quoted(help)}`;
    }),
  );
  const paths = places.map(({ path }) => quoted(path)).join(' ');
  return [
    `function __${name}_at`,
    '  set -l path',
    '  for word in (commandline -opc)',
    '    set -l next (string join " " $path (basename -- $word))',
    `    contains -- $next ${paths}; and set path $next`,
    '  end',
    '  test "$path" = "$argv"',
    'end',
    ...lines,
    '',
  ].join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}
