//! Aligned columns for people; programs ask for `--json`.

/// Rows below a heading, padded to the widest cell of each column, no blanks at the ends of lines.
pub(crate) fn lines(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heading: Vec<String> = heading.iter().map(|&title| title.to_owned()).collect();
    let widths: Vec<usize> = (0..heading.len())
        .map(|column| {
            let cells = std::iter::once(&heading)
                .chain(rows)
                .filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    std::iter::once(&heading)
        .chain(rows)
        .map(|row| line(row, &widths))
        .collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .map(|(cell, &width)| format!("{cell:width$}"))
        .collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["laptop".into(), "web".into()],
            vec!["b".into(), String::new()],
        ];
        assert_eq!(
            lines(&["HOST", "POD"], &rows),
            ["HOST    POD", "laptop  web", "b"]
        );
    }
}
