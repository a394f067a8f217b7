export interface Column {
	readonly title: string;
	readonly right?: boolean;
}

/** Lines of a table, columns two spaces apart; columns without any content are left out. */
export function renderTable(
	columns: readonly Column[],
	rows: readonly (readonly string[])[],
	style = plainTitle,
): string[] {
	const shown = columns.map((_, index) => rows.some(row => (row[index] ?? '') !== ''));
	const widths = columns.map(({title}, index) => Math.max(title.length, ...rows.map(row => (row[index] ?? '').length)));
	const line = (cells: readonly string[]) =>
		columns
			.flatMap(({right}, index) => {
				if (!shown[index]) return [];
				const cell = cells[index] ?? '';
				const width = widths[index] ?? 0;
				return [right === true ? cell.padStart(width) : cell.padEnd(width)];
			})
			.join('  ')
			.trimEnd();
	const titles = columns.some(column => column.title !== '') ? [style(line(columns.map(column => column.title)))] : [];
	return [...titles, ...rows.map(line)];
}

function plainTitle(title: string): string {
	return title;
}
