/**
 * The only script of the page: a click on a heading sorts its table, by `data-value` where a cell has one, else by
 * text. Without it the page loses nothing else.
 */

/** JavaScript, as it stands in the page. */
export const SCRIPT = `
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent;
  const compare = (a, b) => (a === '' || b === '' ? (a === '') - (b === '') : a - b || a.localeCompare(b, 'en', { numeric: true }));
  heads.forEach((head, at) => head.querySelector('button')?.addEventListener('click', () => {
    const down = head.getAttribute('aria-sort') !== 'descending' && head.classList.contains('number')
      || head.getAttribute('aria-sort') === 'ascending';
    for (const other of heads) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const x = key(a, at), y = key(b, at);
      return compare(x, y) * (down && x !== '' && y !== '' ? -1 : 1);
    });
    table.tBodies[0].append(...rows);
  }));
}
`;
