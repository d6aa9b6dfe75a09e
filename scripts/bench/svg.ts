/** What the charts share. The panel is white, so that it reads the same on a light page and on a dark one. */
export const WIDTH = 960;
export const INK = '#1f2328';
export const SOFT = '#59636e';
export const GRID = '#d1d9e0';

export interface Panel {
  title: string;
  /** Lines below the title. */
  notes: readonly string[];
  height: number;
}

export function panel({ title, notes, height }: Panel, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escapeXml(title)}" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif">
<rect x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8" fill="#ffffff" stroke="${GRID}"/>
${text(24, 38, title, { size: 20, weight: 600 })}
${notes.map((note, index) => text(24, 60 + index * 17, note, { size: 12, color: SOFT })).join('\n')}
${parts.join('\n')}
</svg>
`;
}

interface TextStyle {
  size: number;
  weight?: number;
  color?: string;
  anchor?: 'start' | 'middle' | 'end';
}

export function text(x: number, y: number, content: string, style: TextStyle): string {
  const { size, weight = 400, color = INK, anchor = 'start' } = style;
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${color}" text-anchor="${anchor}">${escapeXml(content)}</text>`;
}

function escapeXml(content: string): string {
  return content
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
